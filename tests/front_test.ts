/**
 * `deploy/nginx.conf` closes what the runtime leaves open, and leaves everything else as it is: nginx itself, in front
 * of a server as it is started by a user. Time-outs and limits are shorter here than in the file; each test says which.
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { encodeFrame, handshake } from "./frames.ts";
import { Front, nginx } from "./front.ts";
import { Client, flood, getJson, publish, range, serve, subscribe, until } from "./harness.ts";
import { missingPrograms } from "./programs.ts";
import { RawClient } from "./raw_client.ts";
import { ServerProcess } from "./server_process.ts";
import { TcpClient } from "./tcp_client.ts";

const missing = [...(nginx === undefined ? ["nginx"] : []), ...missingPrograms("openssl")];
const ignore = missing.length > 0;
if (ignore) {
  const message = `Skipped: front_test.ts, as ${missing.join(" and ")} cannot be found.` +
    " To run it: apt-get install nginx-light openssl.";
  if (Deno.env.get("CI") === "true") throw new Error(message);
  console.warn(message);
}

/** The file's time-outs for clients, shortened. */
const impatient = {
  "client_header_timeout 10s": "client_header_timeout 1s",
  "client_body_timeout 10s": "client_body_timeout 1s",
  "send_timeout 30s": "send_timeout 1s",
};

/** Lets a test have many addresses: who says nothing is 127.0.0.1. */
const addressed = {
  "server_tokens off;":
    "server_tokens off; set_real_ip_from 127.0.0.1; real_ip_header X-Test-Address;",
};

Deno.test({ name: "WebSocket through the front is as it is without", ignore }, async () => {
  await using server = await serve({ topics: ["t"] });
  await using front = await Front.start(server);
  await using subscriber = await openThrough(front);
  await using publisher = await openThrough(front);
  subscriber.send(subscribe("t"));
  await subscriber.fence();

  const payloads = range(1, 50).map((n) => "x".repeat(n * 1200));
  for (const payload of payloads) publisher.send(publish("t", payload));
  await publisher.fence();
  await subscriber.fence();

  const events = subscriber.received.filter(({ type }) => type === "event");
  assertEquals(events.map(({ message }) => message.payload), payloads);
  assertEquals(publisher.received.filter(({ type }) => type === "ack").length, payloads.length);
});

Deno.test({
  name: "a subprotocol is agreed on, and a close code arrives, through the front",
  ignore,
}, async () => {
  await using server = await serve();
  await using front = await Front.start(server);
  using connection = await front.connect();
  const head = await exchange(connection, handshake("/ws", "tidings.batch.v1"), "\r\n\r\n");
  assertMatch(head, /^sec-websocket-protocol: tidings\.batch\.v1\r$/im);
  const closing = closeFrame(1003, "BAD_REQUEST");
  const answer = await exchange(connection, encodeFrame(2, new Uint8Array(1)), closing);
  assert(answer.endsWith(closing));
});

Deno.test({
  name: "heartbeats keep a connection open for longer than the front waits for a word",
  ignore,
}, async () => {
  await using server = await serve({ heartbeatIntervalSeconds: 1 });
  await using front = await Front.start(server, {
    "proxy_read_timeout 75s": "proxy_read_timeout 2s",
  });
  await using client = await openThrough(front);
  await client.until(() => client.received.length >= 4);
  assertEquals(client.received.map(({ msg }) => msg), ["ping", "ping", "ping", "ping"]);
  assert(await client.fence(), "the connection is still there");
});

Deno.test(
  { name: "a server that has fallen silent is given up by the front", ignore },
  async () => {
    await using server = await serve({ heartbeatIntervalSeconds: 60, idleTimeoutSeconds: 60 });
    await using front = await Front.start(server, {
      "proxy_read_timeout 75s": "proxy_read_timeout 1s",
    });
    await using client = await openThrough(front);
    assertEquals(await client.closed, 1006);
    await until(
      async () => (await getJson(server, "/stats")).connections === 0,
      "the server knows",
    );
  },
);

Deno.test(
  { name: "a slow head is waited for by the server, and cut off by the front", ignore },
  async () => {
    await using server = await serve();
    await using front = await Front.start(server, impatient);
    const [beginning, rest] = [
      "GET /health HTTP/1.1\r\nHost: local",
      "host\r\nConnection: close\r\n\r\n",
    ];
    using direct = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await direct.write(bytesOf(beginning));
    using silent = await Deno.connect({ hostname: "127.0.0.1", port: server.port });

    using through = await front.connect();
    assertEquals(await exchange(through, beginning), "");
    using silentThrough = await front.connect();
    assertEquals(await exchange(silentThrough, ""), "");
    using withoutHandshake = await front.connectWithoutTls();
    assertEquals(await exchange(withoutHandshake, ""), "");

    assertMatch(await exchange(direct, rest), /^HTTP\/1\.1 200 /);
    assertMatch(await exchange(silent, beginning + rest), /^HTTP\/1\.1 200 /);
  },
);

Deno.test(
  { name: "a head that grows drop by drop is cut off by the front too", ignore },
  async () => {
    await using server = await serve();
    await using front = await Front.start(server, impatient);
    using connection = await front.connect();
    await connection.write(bytesOf("GET /health HTTP/1.1\r\nHost: localhost\r\nX: "));
    const drops = setInterval(() => void connection.write(bytesOf("x")).catch(() => {}), 100);
    try {
      assertEquals(await exchange(connection, ""), "");
    } finally {
      clearInterval(drops);
    }
  },
);

Deno.test(
  { name: "a slow body is waited for by the server, and cut off by the front", ignore },
  async () => {
    await using server = await serve();
    await using front = await Front.start(server, impatient);
    const request = (name: string) =>
      "POST /topics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
      `Connection: close\r\nContent-Length: 13\r\n\r\n{"name":"${name}`;
    using direct = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await direct.write(bytesOf(request("d")));

    using through = await front.connect();
    assertMatch(await exchange(through, request("f")), /^$|^HTTP\/1\.1 408 /);

    assertMatch(await exchange(direct, 't"}'), /^HTTP\/1\.1 201 /);
    assertEquals((await getJson(server, "/topics")).topics, [{ name: "dt", subscribers: 0 }]);
  },
);

Deno.test(
  { name: "a body that does not end never reaches the server behind the front", ignore },
  async () => {
    const { upstream, requests } = echo();
    await using _ = upstream;
    await using front = await Front.start(upstream.addr, impatient);
    using connection = await front.connect();
    const head = get("/topics", "Content-Length: 13").replace("GET", "POST");
    assertMatch(await exchange(connection, `${head}{"name":"`), /^$|^HTTP\/1\.1 408 /);
    assertEquals(requests, []);
  },
);

Deno.test({
  name: "a client that never reads is ended by the front, and its descriptor is free",
  ignore,
}, async () => {
  await using server = await ServerProcess.start({ topics: ["t"] });
  await using front = await Front.start(server, impatient);
  await using publisher = await Client.connect(server);
  await getJson(server, "/stats");
  const before = server.openSockets;

  using stalled = await front.connect();
  await exchange(stalled, handshake("/ws"), "\r\n\r\n");
  await exchange(stalled, encodeFrame(1, bytesOf(JSON.stringify(subscribe("t")))), '"ack"');
  assertEquals((await getJson(server, "/stats")).connections, 2);
  assertEquals(server.openSockets, before + 1);

  await until(
    async () => {
      await flood(publisher, 1_000);
      return (await getJson(server, "/stats")).connections === 1;
    },
    "the front has ended it",
    30,
  );
  await until(() => server.openSockets === before, "the descriptor is free");
});

Deno.test({
  name:
    "a client that never reads but sends is given up by the server, and by the front when it stops",
  ignore,
}, async () => {
  await using server = await ServerProcess.start({ topics: ["t"], idleTimeoutSeconds: 1 });
  await using front = await Front.start(server, impatient);
  await using publisher = await Client.connect(server);
  await getJson(server, "/stats");
  const before = server.openSockets;

  using stalled = await front.connect();
  await exchange(stalled, handshake("/ws"), "\r\n\r\n");
  await exchange(stalled, encodeFrame(1, bytesOf(JSON.stringify(subscribe("t")))), '"ack"');
  // nginx starts its time-out for writing anew at whatever comes from either side.
  const pongs = setInterval(
    () => void stalled.write(encodeFrame(10, new Uint8Array(1))).catch(() => {}),
    100,
  );
  try {
    await until(
      async () => {
        await flood(publisher, 1_000);
        return (await getJson(server, "/stats")).connections === 1;
      },
      "the server has given it up",
      30,
    );
  } finally {
    clearInterval(pongs);
  }
  await until(() => server.openSockets === before, "the descriptor is free");
});

Deno.test(
  { name: "a client that never reads keeps its descriptor when there is no front", ignore },
  async () => {
    await using server = await ServerProcess.start({ topics: ["t"], idleTimeoutSeconds: 1 });
    await using publisher = await Client.connect(server);
    await getJson(server, "/stats");
    const before = server.openSockets;

    {
      using stalled = await RawClient.connect(server.port);
      await stalled.sendJson(subscribe("t"));
      assertEquals((await stalled.readJson()).type, "ack");
      await until(
        async () => {
          await flood(publisher, 1_000);
          return (await getJson(server, "/stats")).connections === 1;
        },
        "the server has given it up",
        30,
      );
      assertEquals(server.openSockets, before + 1);
    }
    await until(() => server.openSockets === before, "the descriptor is free");
  },
);

Deno.test({
  name: "an address has so many connections and no more; another one has its own",
  ignore,
}, async () => {
  await using server = await serve();
  await using front = await Front.start(server, {
    ...addressed,
    "limit_conn connections 100": "limit_conn connections 2",
  });
  const addresses = [
    ["192.0.2.1", "192.0.2.1", "192.0.2.1"],
    ["192.0.2.2", "192.0.2.2", "192.0.2.2"],
    // One network of 2^64 addresses each.
    ["2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:ffff::"],
    ["2001:db8:1:3::1", "2001:db8:1:3::2", "2001:db8:1:3::3"],
    ["2001:db8::1", "2001:db8::2", "2001:db8::3:4:5"],
  ];
  for (const [first, second, third] of addresses) {
    await using _one = await openThrough(front, first);
    const two = await openThrough(front, second);
    using refused = await front.connect();
    const answer = await exchange(refused, get("/health", `X-Test-Address: ${third}`));
    assertMatch(answer, /^HTTP\/1\.1 429 [^]*"code":"RATE_LIMITED"/);

    await two.close();
    // The front learns of the end a moment after the client.
    await until(async () => {
      using connection = await front.connect();
      const again = await exchange(connection, get("/health", `X-Test-Address: ${third}`));
      return again.startsWith("HTTP/1.1 200 ");
    }, `${third} has room again`);
  }
});

Deno.test({
  name: "an address opens so many WebSockets at a time and no more; another one has its own",
  ignore,
}, async () => {
  await using server = await serve();
  await using front = await Front.start(server, {
    ...addressed,
    "rate=10r/s": "rate=1r/m",
    "burst=50 nodelay": "burst=1 nodelay",
  });
  const upgrade = async (address: string) => {
    using connection = await front.connect();
    const head = await exchange(connection, handshakeFrom(address), "\r\n\r\n");
    return head.split("\r\n")[0];
  };
  assertEquals([await upgrade("192.0.2.1"), await upgrade("192.0.2.1")], [
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 101 Switching Protocols",
  ]);
  assertEquals(await upgrade("192.0.2.1"), "HTTP/1.1 429 Too Many Requests");
  assertEquals(await upgrade("192.0.2.2"), "HTTP/1.1 101 Switching Protocols");
});

const refusedHeads: Readonly<Record<string, [head: string, status: RegExp]>> = {
  "a header of 9 KB": [get("/health", `X: ${"x".repeat(9_000)}`), /^400 /],
  "33 KB of commas": [get("/ws", `Sec-WebSocket-Protocol: ${",".repeat(33_000)}`), /^400 /],
  "a head of 40 KB": [
    get("/health", ...range(1, 8).map((n) => `X${n}: ${"x".repeat(5_000)}`)),
    /^400 /,
  ],
  "10,000 headers": [get("/health", ...range(1, 10_000).map((n) => `X${n}: 1`)), /^400 /],
  "an address of 9 KB": [get(`/${"x".repeat(9_000)}`), /^414 /],
  "two Hosts": [get("/health", "Host: other"), /^400 /],
  "two lengths": [get("/health", "Content-Length: 1", "Content-Length: 2"), /^400 /],
  "a length beside chunks": [
    get("/health", "Content-Length: 1", "Transfer-Encoding: chunked"),
    /^400 /,
  ],
  "a body of 65 KB": [get("/topics", "Content-Length: 66561").replace("GET", "POST"), /^413 /],
  "another Host": ["GET /health HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n", /^421 /],
  "an address as Host": [
    "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    /^421 /,
  ],
  "a Host that looks alike": [
    "GET /health HTTP/1.1\r\nHost: localhost.other\r\nConnection: close\r\n\r\n",
    /^421 /,
  ],
  "a Host with a path": [
    "GET /health HTTP/1.1\r\nHost: localhost/ws?\r\nConnection: close\r\n\r\n",
    /^4(00|21) /,
  ],
  "another Host in the request line": [get("http://other/health"), /^421 /],
  "no Host": ["GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", /^400 /],
};

for (const [what, [head, status]] of Object.entries(refusedHeads)) {
  Deno.test(
    { name: `the front refuses ${what}, and the server sees nothing of it`, ignore },
    async () => {
      const { upstream, requests } = echo();
      await using _ = upstream;
      await using front = await Front.start(upstream.addr);
      using connection = await front.connect();
      const answer = await exchange(connection, head, "\r\n\r\n");
      assertMatch(answer.replace(/^HTTP\/1\.1 /, ""), status);
      assert(!/nginx\/\d/.test(answer), "it does not tell its version");
      assertEquals(requests, []);
    },
  );
}

Deno.test(
  { name: "the front shakes no hands with who asks for another name", ignore },
  async () => {
    await using server = await serve();
    await using front = await Front.start(server);
    await assertRejects(() => front.connect("other.example"), Error, "UnrecognisedName");
  },
);

Deno.test(
  { name: "what a client says about its address and the way is not passed on", ignore },
  async () => {
    const { upstream, requests } = echo();
    await using _ = upstream;
    await using front = await Front.start(upstream.addr);
    using connection = await front.connect();
    await exchange(
      connection,
      get(
        "http://localhost/topics/a%2Fb?x=1",
        "X-Forwarded-For: 1.1.1.1",
        "X_Forwarded_For: 1.1.1.1",
        "X-Real-IP: 1.1.1.1",
        "X-Forwarded-Proto: gopher",
        "Forwarded: for=1.1.1.1",
        "Upgrade: h2c",
        "Authorization: Bearer x",
      ).replace("Connection: close", "Connection: close, Upgrade, X-Real-IP").replace(
        "Host: localhost",
        "Host: other",
      ),
    );
    assertEquals(requests.map(({ path }) => path), ["/topics/a%2Fb?x=1"]);
    assertEquals(requests[0]!.headers, {
      "authorization": "Bearer x",
      "host": "localhost",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "https",
      "x-real-ip": "127.0.0.1",
    });
  },
);

Deno.test(
  { name: "the front logs neither tickets nor tokens, whatever goes wrong", ignore },
  async () => {
    const secret = "s3cr3t";
    await using server = await serve();
    await using front = await Front.start(server, {
      ...impatient,
      "rate=10r/s": "rate=1r/m",
      "burst=50 nodelay": "burst=1 nodelay",
    });
    const carrying = (...headers: string[]) =>
      get(
        `/ws?ticket=${secret}`,
        `Authorization: Bearer ${secret}`,
        `Sec-WebSocket-Protocol: tidings.token.${secret}`,
        `Referer: https://localhost/?ticket=${secret}`,
        `Cookie: ${secret}`,
        ...headers,
      );
    const ask = async (request: string) => {
      using connection = await front.connect();
      return Number((await exchange(connection, request, "\r\n\r\n")).split(" ")[1]);
    };
    // Too early for a whole head, too many, too long, elsewhere, and while the server is away.
    const statuses = [
      await ask(carrying()),
      await ask(carrying()),
      await ask(carrying()),
      await ask(carrying("Content-Length: 66561")),
      await ask(carrying(`X: ${"x".repeat(9_000)}`)),
      await ask(carrying("Host: other")),
      await ask(carrying("Bad header")),
      await ask(carrying().replace("Host: localhost", "Host: other")),
      await ask(carrying().replace("\r\n\r\n", "\r\n")),
    ];
    await server.shutdown();
    statuses.push(await ask(carrying().replace("/ws", "/health")));

    assertEquals(statuses, [426, 426, 429, 413, 400, 400, 400, 421, NaN, 502]);
    // A line is written when its answer has left.
    const isLogged = async () => (await front.accesses()).length === statuses.length;
    await until(isLogged, "all is logged");
    assert(!(await front.stop()).includes(secret));
  },
);

Deno.test({
  name: "fragments without end are not the front's to stop: they are counted when they are whole",
  ignore,
}, async () => {
  await using server = await serve();
  await using front = await Front.start(server);
  using connection = await front.connect();
  await exchange(connection, handshake("/ws"), "\r\n\r\n");
  const fragment = encodeFrame(0, new Uint8Array(60_000).fill(120));
  fragment[0] = 0;
  const first = fragment.slice();
  first[0] = 1;
  await writeAll(connection, first);
  for (let sent = 1; sent < 50; sent++) await writeAll(connection, fragment);
  assertEquals((await getJson(server, "/stats")).connections, 1);

  const closing = closeFrame(1009, "PAYLOAD_TOO_LARGE");
  const answer = await exchange(connection, encodeFrame(0, new Uint8Array()), closing);
  assert(answer.endsWith(closing));
});

interface Asked {
  /** With its query. */
  readonly path: string;
  readonly headers: Record<string, string>;
}

/** A server that keeps what it is asked. */
function echo(): { upstream: Deno.HttpServer<Deno.NetAddr>; requests: Asked[] } {
  const requests: Asked[] = [];
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const upstream = Deno.serve(options, ({ url, headers }) => {
    const { pathname, search } = new URL(url);
    requests.push({ path: pathname + search, headers: Object.fromEntries(headers) });
    return new Response();
  });
  return { upstream, requests };
}

/** Opens a WebSocket, from an address if {@link addressed} is in the file. */
async function openThrough(front: Front, address?: string): Promise<TcpClient> {
  const request = address === undefined ? handshake("/ws") : handshakeFrom(address);
  return await TcpClient.over(await front.connect(), request);
}

function handshakeFrom(address: string): Uint8Array<ArrayBuffer> {
  const request = new TextDecoder().decode(handshake("/ws"));
  return bytesOf(request.replace("\r\n\r\n", `\r\nX-Test-Address: ${address}\r\n\r\n`));
}

/** The request for a path, after which the server closes. */
function get(path: string, ...headers: string[]): string {
  const lines = [`GET ${path} HTTP/1.1`, "Host: localhost", "Connection: close", ...headers];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/**
 * Sends something, and answers what comes until `mark` has come or the connection has ended, one character a byte.
 */
async function exchange(
  connection: Deno.Conn,
  request: string | Uint8Array<ArrayBuffer>,
  mark?: string,
): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let text = "";
  try {
    await writeAll(connection, typeof request === "string" ? bytesOf(request) : request);
    while (mark === undefined || !text.includes(mark)) {
      const count = await connection.read(buffer);
      if (count === null) break;
      text += String.fromCharCode(...buffer.subarray(0, count));
    }
  } catch {
    // Cut off, or without TLS's goodbye.
  }
  return text;
}

/** A server's frame that closes, one character a byte (RFC 6455, section 5.5.1). */
function closeFrame(code: number, reason: string): string {
  return String.fromCharCode(0x88, 2 + reason.length, code >> 8, code & 255) + reason;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
