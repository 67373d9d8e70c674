/**
 * What those try who have no right to: a table of requests over bare sockets, each with the exact answer. At the end,
 * nothing that the server has answered or logged may hold a token, a ticket or a secret.
 */

import { assert, assertEquals } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { SignJWT } from "jose";
import { PublicKey } from "../src/token_keys.ts";
import { type Received, serve, type TestServer } from "./harness.ts";
import { base64url, claimsOf, inSeconds, previousSecret, secret, sign } from "./issuer.ts";
import { askByHand } from "./raw_http.ts";
import { TcpClient } from "./tcp_client.ts";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();
const rsaSigned = (header: Record<string, unknown> = {}) =>
  new SignJWT(claimsOf()).setProtectedHeader({ alg: "RS256", ...header }).sign(privateKey);

const alice = () => sign(claimsOf());
const admin = sign(claimsOf({ sub: "root", admin: true, topics: undefined }));

/** All that was sent and must not come back, and all that came back. */
const sent = new Set([secret, previousSecret, admin]);
const seen: string[] = [];

function note<T>(answer: T): T {
  seen.push(JSON.stringify(answer));
  return answer;
}

// ---------------------------------------------------------------------------------------------------------------------
// Tokens that are not accepted, wherever they are carried.

type TokenCase = readonly [name: string, token: string, why: string];

const why = {
  form: "it must be three texts in base64url, with dots between them",
  algorithm: 'its "alg" must be HS256',
  signature: "its signature is not right",
  header: "its header must be a JSON object",
  expired: "it has expired",
  unreadable: "it is not a JWT that the server can read",
};

const [head, body, signature] = alice().split(".") as [string, string, string];
const unsigned = (alg: unknown) => `${base64url(JSON.stringify({ alg }))}.${body}.`;
const withClaims = (changes: Record<string, unknown>) => sign(claimsOf(changes));
const withHeader = (header: Record<string, unknown>) => sign(claimsOf(), { header });
const numbered = (exp: string) =>
  sign(`${JSON.stringify(claimsOf({ exp: undefined })).slice(0, -1)},"exp":${exp}}`);

const badTokens: TokenCase[] = [
  ...["none", "None", "NONE", "nOnE", "noNe", " none", "none\0"].flatMap((alg): TokenCase[] => [
    [`alg ${JSON.stringify(alg)}, signature empty`, unsigned(alg), why.form],
    [`alg ${JSON.stringify(alg)}, any signature`, `${unsigned(alg)}AAAA`, why.algorithm],
    [`alg ${JSON.stringify(alg)}, right HMAC`, withHeader({ alg }), why.algorithm],
  ]),
  ...["hs256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA", "", null, 5, ["HS256"], {}]
    .map((alg): TokenCase => [`alg ${JSON.stringify(alg)}`, withHeader({ alg }), why.algorithm]),
  ["no alg", withHeader({ alg: undefined }), why.algorithm],
  ["alg of a prototype", withHeader({ alg: "constructor" }), why.algorithm],
  ["another secret", sign(claimsOf(), { key: "x".repeat(40) }), why.signature],
  ["an empty secret", sign(claimsOf(), { key: "" }), why.signature],
  ["the secret and a zero byte", sign(claimsOf(), { key: `${secret}\0x` }), why.signature],
  ["the public key as secret", sign(claimsOf(), { key: publicPem }), why.signature],
  [
    "claims of another token",
    `${head}.${sign({ sub: "bob" }).split(".")[1]}.${signature}`,
    why.signature,
  ],
  ["signature of another token", `${head}.${body}.${admin.split(".")[2]}`, why.signature],
  ["signature too short", `${head}.${body}.${signature.slice(0, 40)}`, why.signature],
  ...([
    ["jwk", { kty: "oct", k: base64url("x".repeat(40)) }],
    ["jwk", publicKey.export({ format: "jwk" })],
    ["jku", "https://attacker.example/keys"],
    ["x5u", "https://attacker.example/cert"],
    ["x5c", ["MIIB"]],
    ["crit", ["exp"]],
    ["crit", []],
    ["crit", ["b64"]],
  ] as [string, unknown][]).map(([name, value]): TokenCase => [
    `header with ${name} ${JSON.stringify(value).slice(0, 20)}`,
    withHeader({ [name]: value }),
    `its header must not have "${name}"`,
  ]),
  ["header no JSON", `${base64url("{")}.${body}.${signature}`, why.header],
  ["header an array", `${base64url('["HS256"]')}.${body}.${signature}`, why.header],
  ["header null", `${base64url("null")}.${body}.${signature}`, why.header],
  [
    "aud of another",
    withClaims({ aud: "other" }),
    'its "aud" is not the one that this server expects',
  ],
  [
    "aud among others",
    withClaims({ aud: ["a", "b"] }),
    'its "aud" is not the one that this server expects',
  ],
  [
    "aud in upper case",
    withClaims({ aud: "TIDINGS" }),
    'its "aud" is not the one that this server expects',
  ],
  [
    "aud an object",
    withClaims({ aud: { 0: "tidings" } }),
    'its "aud" is not the one that this server expects',
  ],
  ["no aud", withClaims({ aud: undefined }), 'its "aud" is missing'],
  [
    "iss of another",
    withClaims({ iss: "https://issuer.example.evil" }),
    'its "iss" is not the one that this server expects',
  ],
  [
    "iss a list",
    withClaims({ iss: ["https://issuer.example"] }),
    'its "iss" is not the one that this server expects',
  ],
  ["no iss", withClaims({ iss: undefined }), 'its "iss" is missing'],
  ["expired an hour ago", withClaims({ exp: inSeconds(-3600) }), why.expired],
  ["expired this second", withClaims({ exp: inSeconds(0) }), why.expired],
  ["exp 0", withClaims({ exp: 0 }), why.expired],
  ["exp negative", withClaims({ exp: -1 }), why.expired],
  ["exp as text", withClaims({ exp: String(inSeconds(600)) }), 'its "exp" must be a number'],
  ["exp null", withClaims({ exp: null }), 'its "exp" must be a number'],
  ["exp a list", withClaims({ exp: [inSeconds(600)] }), 'its "exp" must be a number'],
  ["exp true", withClaims({ exp: true }), 'its "exp" must be a number'],
  ["no exp", withClaims({ exp: undefined }), 'its "exp" is missing'],
  ["exp 1e308", numbered("1e308"), 'its "exp" must be before the year 10000'],
  ["exp 1e400", numbered("1e400"), 'its "exp" must be before the year 10000'],
  ["exp -1e400", numbered("-1e400"), why.expired],
  [
    "exp in milliseconds",
    withClaims({ exp: Date.now() + 600_000 }),
    'its "exp" must be before the year 10000',
  ],
  ["not valid yet", withClaims({ nbf: inSeconds(60) }), "it is not valid yet"],
  ["nbf as text", withClaims({ nbf: "0" }), 'its "nbf" must be a number'],
  ["iat as text", withClaims({ iat: "0" }), 'its "iat" must be a number'],
  ["no sub", withClaims({ sub: undefined }), 'its "sub" must be a text of 1 to 255 characters'],
  ["sub empty", withClaims({ sub: "" }), 'its "sub" must be a text of 1 to 255 characters'],
  ["sub a number", withClaims({ sub: 5 }), 'its "sub" must be a text of 1 to 255 characters'],
  [
    "sub too long",
    withClaims({ sub: "x".repeat(256) }),
    'its "sub" must be a text of 1 to 255 characters',
  ],
  ["admin as text", withClaims({ admin: "true" }), 'its "admin" must be true or false'],
  ["admin 1", withClaims({ admin: 1 }), 'its "admin" must be true or false'],
  ["admin null", withClaims({ admin: null }), 'its "admin" must be true or false'],
  ["topics an object", withClaims({ topics: {} }), 'its "topics" must be an array'],
  ["topics null", withClaims({ topics: null }), 'its "topics" must be an array'],
  [
    "a grant misspelt",
    withClaims({ topics: [{ match: "a", alow: ["publish"] }] }),
    'its "topics.0.allow" must be an array',
  ],
  [
    "a grant with more",
    withClaims({ topics: [{ match: "a", allow: ["publish"], deny: [] }] }),
    'its "topics.0" must have no fields but match and allow',
  ],
  [
    "an unknown action",
    withClaims({ topics: [{ match: "a", allow: ["*"] }] }),
    'its "topics.0.allow.0" must be subscribe, publish, history, presence',
  ],
  [
    "a bad pattern",
    withClaims({
      topics: [{ match: "a", allow: ["publish"] }, { match: "a*", allow: ["publish"] }],
    }),
    'its "topics.1.match" must have "*" and "**" as whole segments only',
  ],
  [
    "{sub} that is a wildcard",
    withClaims({ sub: "*", topics: [{ match: "{sub}", allow: ["publish"] }] }),
    'its "topics.0.match" must not have {sub}, as this token\'s "sub" is no single segment of a topic',
  ],
  ["claims no object", sign("[]"), why.unreadable],
  ["claims no JSON", sign('{"sub":"alice"'), why.unreadable],
  ["claims null", sign("null"), why.unreadable],
  ["garbage behind it", `${alice()}garbage!`, why.form],
  ["a character behind it", `${alice()}A`, why.signature],
  ["a newline escaped behind it", `${alice()}%0A`, why.form],
  ["padding behind it", `${alice()}=`, why.form],
  ["padding in the middle", `${head}==.${body}.${signature}`, why.form],
  ["the last bits of the signature changed", `${head}.${body}.${twin(signature)}`, why.form],
  ["base64 in the place of base64url", `${head}.${body}.${signature.slice(0, -2)}+/`, why.form],
  ["two parts", `${head}.${body}`, why.form],
  ["four parts", `${alice()}.AAAA`, why.form],
  ["five parts, as of JWE", `${head}.AAAA.AAAA.AAAA.AAAA`, why.form],
  ["no parts", "..", why.form],
  ["a dot", ".", why.form],
  ["no claims", `${head}..${signature}`, why.form],
  ["not base64 at all", "not-a-token", why.form],
  ["8,193 characters", alice().padEnd(8193, "A"), "it must be at most 8192 characters long"],
  ["16 KB", withClaims({ padding: "x".repeat(12_000) }), "it must be at most 8192 characters long"],
];

/** Another text for the same bytes: the bits behind the last byte are not zero. */
function twin(text: string): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.slice(0, -1) + letters[letters.indexOf(text.at(-1)!) + 1];
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests, each with its answer.

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly says?: string;
  readonly authenticate?: string;
  readonly allowsOrigin?: string;
}

type RequestCase = readonly [name: string, request: string, answer: Answer];

const realm = 'Bearer realm="tidings"';
const invalidToken = `${realm}, error="invalid_token"`;
const refusedToken = (says: string): Answer => ({
  status: 401,
  code: "UNAUTHORIZED",
  says: `Cannot accept token: ${says}`,
  authenticate: invalidToken,
});
const needed = (verb: string): Answer => ({
  status: 401,
  code: "UNAUTHORIZED",
  says: `Cannot ${verb}: a token is needed`,
  authenticate: realm,
});
const forbidden = (says: string): Answer => ({
  status: 403,
  code: "FORBIDDEN",
  says: `Cannot ${says}`,
  authenticate: `${realm}, error="insufficient_scope"`,
});
const twice: Answer = {
  status: 400,
  code: "BAD_REQUEST",
  says: "Cannot accept token: the request must have one, in one place",
  authenticate: `${realm}, error="invalid_request"`,
};
const scheme = refusedToken('the header "Authorization" must be "Bearer", a space, and the token');
const noTicket: Answer = {
  status: 401,
  code: "UNAUTHORIZED",
  says: "Cannot accept ticket: it was used, has expired, or was never made",
  authenticate: invalidToken,
};
const ok: Answer = { status: 200 };
const upgraded: Answer = { status: 101 };

function request(line: string, headers: readonly string[] = [], json?: unknown): string {
  const text = json === undefined ? "" : JSON.stringify(json);
  const length = new TextEncoder().encode(text).length;
  const own = headers.some((header) => header.startsWith("Host:")) ? [] : ["Host: localhost"];
  const body = json === undefined
    ? []
    : ["Content-Type: application/json", `Content-Length: ${length}`];
  return [`${line} HTTP/1.1`, ...own, ...headers, ...body, "", text].join("\r\n");
}

function upgrade(headers: readonly string[] = [], path = "/ws"): string {
  return request(`GET ${path}`, [
    ...["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"],
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  ]);
}

const bearer = (token: string) => `Authorization: Bearer ${token}`;
const offering = (...protocols: string[]) => `Sec-WebSocket-Protocol: ${protocols.join(", ")}`;
const carried = (token: string) => `tidings.token.${token}`;

const credentials: RequestCase[] = [
  ["no token for stats", request("GET /stats"), needed("read stats")],
  ["no token for topics", request("GET /topics"), needed("list topics")],
  ["no token to make a topic", request("POST /topics", [], { name: "x" }), needed("create topic")],
  ["no token and a bad body", request("POST /topics", [], 5), needed("create topic")],
  ["no token to delete", request("DELETE /topics/orders.eu"), needed("delete topic")],
  [
    "no token to publish",
    request("POST /topics/orders.eu/messages", [], { payload: 1 }),
    needed("publish"),
  ],
  ["no token to read", request("GET /topics/orders.eu/messages"), needed("read history")],
  ["no token for a ticket", request("POST /auth/ticket"), needed("make ticket")],
  ["no token to explain", request("POST /auth/explain", [], {}), needed("explain")],
  ["no token with HEAD", request("HEAD /stats"), { status: 401, authenticate: realm }],
  ["health is open", request("GET /health"), ok],
  ["the first page is open", request("GET /"), ok],
  ["Basic", request("GET /stats", ["Authorization: Basic YWxpY2U6cGFzcw=="]), scheme],
  ["Basic with a JWT", request("GET /stats", [`Authorization: Basic ${admin}`]), scheme],
  ["a JWT without a scheme", request("GET /stats", [`Authorization: ${admin}`]), scheme],
  ["Bearer alone", request("GET /stats", ["Authorization: Bearer"]), scheme],
  ["Bearer and nothing", request("GET /stats", ["Authorization: Bearer "]), scheme],
  ["Authorization empty", request("GET /stats", ["Authorization:"]), scheme],
  ["Bearer with a tab", request("GET /stats", [`Authorization: Bearer\t${admin}`]), scheme],
  ["Bearer twice in one", request("GET /stats", [`Authorization: Bearer Bearer ${admin}`]), scheme],
  ["two tokens in one", request("GET /stats", [`Authorization: Bearer ${admin} ${admin}`]), scheme],
  [
    "Bearer in another case is Bearer",
    request("GET /stats", [`Authorization: bEARER ${admin}`]),
    ok,
  ],
  ["two Authorization headers", request("GET /stats", [bearer(admin), bearer(admin)]), twice],
  ["two, one of them empty", request("GET /stats", [bearer(admin), "Authorization:"]), twice],
  ["Basic and Bearer", request("GET /stats", ["Authorization: Basic eA==", bearer(admin)]), twice],
  [
    "a token in the query",
    request(`GET /stats?token=${admin}&access_token=${admin}`),
    needed("read stats"),
  ],
  ["a token in a cookie", request("GET /stats", [`Cookie: token=${admin}`]), needed("read stats")],
  ["a ticket outside of the handshake", request("GET /stats?ticket=x"), needed("read stats")],
  ["handshake: two headers", upgrade([bearer(alice()), bearer(alice())]), twice],
  [
    "handshake: header and subprotocol",
    upgrade([bearer(alice()), offering(carried(alice()))]),
    twice,
  ],
  ["handshake: two subprotocols", upgrade([offering(carried(alice()), carried(alice()))]), twice],
  ["handshake: header and ticket", upgrade([bearer(alice())], "/ws?ticket=x"), twice],
  ["handshake: two tickets", upgrade([], "/ws?ticket=x&ticket=y"), twice],
  ["handshake: Basic", upgrade([`Authorization: Basic ${alice()}`]), scheme],
  ["handshake: no such ticket", upgrade([], "/ws?ticket=AAAA"), noTicket],
  ["handshake: an empty ticket", upgrade([], "/ws?ticket="), noTicket],
  ["handshake: a ticket of a prototype", upgrade([], "/ws?ticket=__proto__"), noTicket],
  ["handshake: an empty token", upgrade([offering("tidings.token.")]), refusedToken(why.form)],
  ["handshake: no credential", upgrade(), upgraded],
  ["handshake: header", upgrade([bearer(alice())]), upgraded],
  ["handshake: subprotocol", upgrade([offering(carried(alice()), "tidings.v1")]), upgraded],
  ["handshake: a prefix of another name", upgrade([offering("TIDINGS.TOKEN.x")]), upgraded],
];

const refusedTo = (verb: string, topic: string) =>
  forbidden(`${verb} "${topic}": the token does not allow it`);
const adminOnly = (verb: string) => forbidden(`${verb}: the token must say "admin": true`);
const asAlice = [bearer(alice())];
const notOrders = [
  ...["secret", "nowhere", "orders", "orders.eu.de", "orders:eu", "orders/eu", "Orders.eu"],
  ...["orders.", "__proto__", "alice", "alice.inbox"],
];

const grants: RequestCase[] = [
  ...notOrders.map((topic): RequestCase => [
    `publish to ${topic}`,
    request(`POST /topics/${encodeURIComponent(topic)}/messages`, asAlice, { payload: 1 }),
    refusedTo("publish to", topic),
  ]),
  ...["orders.eu", "secret", "nowhere", "alice", "bob/inbox"].map((topic): RequestCase => [
    `history of ${topic}`,
    request(`GET /topics/${encodeURIComponent(topic)}/messages`, asAlice),
    refusedTo("read history of", topic),
  ]),
  [
    "publish many to secret",
    request("POST /topics/secret/messages", asAlice, [{ payload: 1 }, { payload: 2 }]),
    refusedTo("publish to", "secret"),
  ],
  ["publish to orders.eu", request("POST /topics/orders.eu/messages", asAlice, { payload: 1 }), ok],
  ["publish to orders.no", request("POST /topics/orders.no/messages", asAlice, { payload: 1 }), {
    status: 404,
    code: "TOPIC_NOT_FOUND",
    says: 'Cannot publish to "orders.no": topic does not exist',
  }],
  ["history of alice/inbox", request("GET /topics/alice%2Finbox/messages", asAlice), ok],
  ["list topics", request("GET /topics", asAlice), adminOnly("list topics")],
  ["make a topic", request("POST /topics", asAlice, { name: "mine" }), adminOnly("create topic")],
  ["delete a topic", request("DELETE /topics/orders.eu", asAlice), adminOnly("delete topic")],
  ["delete no topic", request("DELETE /topics/nowhere", asAlice), adminOnly("delete topic")],
  ["delete a bad name", request("DELETE /topics/a%20b", asAlice), adminOnly("delete topic")],
  ["read stats", request("GET /stats", asAlice), adminOnly("read stats")],
  ["explain", request("POST /auth/explain", asAlice, {}), adminOnly("explain")],
  [
    "an admin publishes anywhere",
    request("POST /topics/secret/messages", [bearer(admin)], { payload: 1 }),
    ok,
  ],
  ["an admin reads anything", request("GET /topics/secret/messages", [bearer(admin)]), ok],
  ["an admin sees stats", request("GET /stats", [bearer(admin)]), ok],
];

// ---------------------------------------------------------------------------------------------------------------------
// Origins.

const listed = "https://app.example.com";
const lookAlikes = [
  ...["null", "NULL", "", "*", "https://app.example.com.evil.com", "https://xapp.example.com"],
  ...["https://a.app.example.com", "https://example.com", "https://app.example.com:8443"],
  ...["https://app.example.com:443", "http://app.example.com", "https://app.example.com."],
  ...["https://app.example.com@evil.com", "https://evil.com#https://app.example.com"],
  ...["https://user@app.example.com", "https://APP.example.com", "HTTPS://app.example.com"],
  ...["https://app.example.com/", "https://app.example.com/x", "https://app.example.com, null"],
  ...["https://app.example.co", "https://app-example.com", "https://app.example.com%00"],
  ...["https://xn--pp-4ka.example.com", "file://", "app.example.com", "chrome-extension://abc"],
];
const badOrigin: Answer = {
  status: 403,
  code: "FORBIDDEN",
  says: 'Cannot answer: pages of this "Origin" may not ask this server',
};
const preflight = "Access-Control-Request-Method: POST";

const originsOfList: RequestCase[] = [
  ...lookAlikes.flatMap((origin): RequestCase[] => [
    [`${origin} asks`, request("GET /health", [`Origin: ${origin}`]), badOrigin],
    [`${origin} upgrades`, upgrade([`Origin: ${origin}`, bearer(alice())]), badOrigin],
  ]),
  [
    "a preflight of another",
    request("OPTIONS /topics", ["Origin: https://evil.com", preflight]),
    badOrigin,
  ],
  [
    "two Origins",
    request("GET /health", [`Origin: ${listed}`, "Origin: https://evil.com"]),
    badOrigin,
  ],
  [
    "a rebound Host",
    request("GET /health", ["Host: evil.com", "Origin: http://evil.com"]),
    badOrigin,
  ],
  ["the listed one", request("GET /health", [`Origin: ${listed}`]), {
    ...ok,
    allowsOrigin: listed,
  }],
  ["the listed one, refused", request("GET /stats", [`Origin: ${listed}`]), {
    ...needed("read stats"),
    allowsOrigin: listed,
  }],
  ["the listed one, lost", request("GET /nowhere", [`Origin: ${listed}`]), {
    status: 404,
    code: "BAD_REQUEST",
    says: 'Cannot find "/nowhere": GET / lists what is here',
    allowsOrigin: listed,
  }],
  ["the listed one upgrades", upgrade([`Origin: ${listed}`, bearer(alice())]), upgraded],
  ["a preflight of the listed one", request("OPTIONS /topics", [`Origin: ${listed}`, preflight]), {
    status: 204,
    allowsOrigin: listed,
  }],
  ["no Origin", request("GET /health"), ok],
];

const originsOfHost: RequestCase[] = [
  ["its own", request("GET /health", ["Host: a.example", "Origin: https://a.example"]), {
    ...ok,
    allowsOrigin: "https://a.example",
  }],
  [
    "its own, with its port",
    request("GET /health", ["Host: a.example:8000", "Origin: http://a.example:8000"]),
    {
      ...ok,
      allowsOrigin: "http://a.example:8000",
    },
  ],
  [
    "its own, Host in upper case",
    request("GET /health", ["Host: A.EXAMPLE", "Origin: https://a.example"]),
    ok,
  ],
  [
    "its own, Host with the default port",
    request("GET /health", ["Host: a.example:443", "Origin: https://a.example"]),
    ok,
  ],
  ...["null", "", "https://a.example:8000", "https://b.example", "https://a.example.b", "a.example"]
    .map((origin): RequestCase => [
      `${origin} for a.example`,
      request("GET /health", ["Host: a.example", `Origin: ${origin}`]),
      badOrigin,
    ]),
  ["another upgrades", upgrade(["Host: a.example", "Origin: https://b.example"]), badOrigin],
  [
    "a rebound Host passes for its own, and has no token",
    request("GET /stats", ["Host: evil.com", "Origin: http://evil.com"]),
    { ...needed("read stats"), allowsOrigin: "http://evil.com" },
  ],
];

// ---------------------------------------------------------------------------------------------------------------------
// Commands of alice, each with its answer.

type CommandCase = readonly [name: string, command: Record<string, unknown>, refused: string];

const subscribe = (topic: string, client_id = "alice") => ({ type: "subscribe", topic, client_id });
const publish = (topic: string) => ({
  type: "publish",
  topic,
  message: { id: crypto.randomUUID(), payload: 1 },
});
const denied = (verb: string, topic: string) =>
  `Cannot ${verb} "${topic}": the token does not allow it`;
const notHers = (verb: string) =>
  `Cannot ${verb}: "client_id" must be the token's "sub", or start with it and a slash`;

const commands: CommandCase[] = [
  ...[...notOrders, "alice/inbox"].flatMap((topic): CommandCase[] => [
    [`subscribe to ${topic}`, subscribe(topic), denied("subscribe to", topic)],
    [`publish to ${topic}`, publish(topic), denied("publish to", topic)],
  ]),
  [
    "subscribe with a replay",
    { ...subscribe("secret"), last_n: 5 },
    denied("subscribe to", "secret"),
  ],
  [
    "subscribe with a position",
    { ...subscribe("secret"), since: { epoch: "e", offset: 0 } },
    denied("subscribe to", "secret"),
  ],
  ...["bob", "alic", "alicex", "alice.x", "alice:x", "Alice", " alice", "bob/alice", "*", "{sub}"]
    .flatMap((client): CommandCase[] => [
      [`subscribe as ${client}`, subscribe("orders.eu", client), notHers("subscribe")],
      [
        `unsubscribe as ${client}`,
        { ...subscribe("orders.eu", client), type: "unsubscribe" },
        notHers("unsubscribe"),
      ],
    ]),
];

// ---------------------------------------------------------------------------------------------------------------------

Deno.test("who has no right to it gets nothing, and no token, ticket or secret comes back or is logged", async (test) => {
  const settings = {
    jwtSecret: secret,
    jwtPreviousSecret: previousSecret,
    jwtAudience: "tidings",
    jwtIssuer: "https://issuer.example",
    topics: ["orders.eu", "secret", "alice/inbox", "bob/inbox"],
  };
  await using server = await serve(settings);
  await using behindList = await serve({ ...settings, allowedOrigins: [listed] });
  let ran = 0;

  async function section<T extends readonly [string, ...unknown[]]>(
    name: string,
    cases: readonly T[],
    check: (each: T) => Promise<void>,
  ): Promise<void> {
    await test.step(`${name}: ${cases.length}`, async () => {
      const failures: string[] = [];
      for (const each of cases) {
        ran++;
        try {
          await check(each);
        } catch (thrown) {
          failures.push(`${each[0]}: ${(thrown as Error).message}`);
        }
      }
      assertEquals(failures, []);
    });
  }

  const checkAt = (where: TestServer) => async ([, sends, expected]: RequestCase) => {
    for (const [, token] of sends.matchAll(/(eyJ[^\s,&]+)/g)) sent.add(token!);
    await checkAnswer(where, sends, expected);
  };

  await section("tokens in Authorization", badTokens, async ([, token, says]) => {
    sent.add(token);
    await checkAnswer(server, request("GET /stats", [bearer(token)]), refusedToken(says));
  });
  await section("tokens at the handshake", badTokens, async ([, token, says]) => {
    const sends = upgrade([offering("tidings.v1", carried(token))]);
    await checkAnswer(server, sends, refusedToken(says));
  });
  await section("tokens in auth", badTokens, async ([, token, says]) => {
    await using client = await TcpClient.connect(server.port);
    client.send({ type: "auth", token, request_id: "r" });
    assertEquals(await client.closed, 4501);
    assertEquals(client.received.map(({ ts: _, ...answer }) => note(answer)), [{
      type: "error",
      request_id: "r",
      error: { code: "UNAUTHORIZED", message: `Cannot accept token: ${says}` },
    }]);
  });
  await section("tokens explained", badTokens, async ([, token, says]) => {
    const question = { token, action: "publish", topic: "orders.eu" };
    const asked = request("POST /auth/explain", [bearer(admin)], question);
    const { status, body } = note(await askByHand(server.port, asked));
    assertEquals(status, 200);
    assertEquals(JSON.parse(body), { allowed: false, reason: `Cannot accept token: ${says}` });
  });
  await section("credentials", credentials, checkAt(server));
  await section("grants over HTTP", grants, checkAt(server));
  await section("origins of a list", originsOfList, checkAt(behindList));
  await section("origins without a list", originsOfHost, checkAt(server));

  const checkCommand = async ([, command, message]: CommandCase) => {
    await using client = await connectAs(server, alice());
    client.send({ ...command, request_id: "r" });
    await client.fence();
    const [answer, pong] = client.received.map(note);
    assertEquals(answer.request_id, "r");
    assertEquals(answer.error, { code: "FORBIDDEN", message });
    assertEquals(pong.type, "pong", "and the connection goes on");
  };
  await section("commands", commands, checkCommand);

  for (const name of ["secret", "orders.eu"]) {
    const deleted = request(`DELETE /topics/${name}`, [bearer(admin)]);
    await checkAnswer(server, deleted, ok);
  }
  await section("grants of deleted topics", grants.slice(0, notOrders.length), checkAt(server));
  await section("commands on deleted topics", commands, checkCommand);
  for (const name of ["secret", "orders.eu"]) {
    await checkAnswer(server, request("POST /topics", [bearer(admin)], { name }), {
      status: 201,
    });
  }
  await section("grants of topics made again", grants, checkAt(server));
  await section("commands on topics made again", commands, checkCommand);

  await test.step("a ticket admits once", async () => {
    const issue = async (token: string) => {
      const { status, body, headers } = await askByHand(
        server.port,
        request("POST /auth/ticket", [bearer(token)]),
      );
      assertEquals([status, headers.get("cache-control")], [200, "no-store"]);
      const { ticket, expires_at } = JSON.parse(body);
      sent.add(ticket);
      return { ticket, expires_at };
    };
    const { ticket } = await issue(alice());
    await checkAnswer(server, request(`GET /stats?ticket=${ticket}`), needed("read stats"));
    await checkAnswer(server, request(`GET /ws?ticket=${ticket}`), {
      status: 426,
      code: "BAD_REQUEST",
      says:
        'Cannot open WebSocket: this address speaks WebSocket: the header "Upgrade" must say so',
    });
    await checkAnswer(server, upgrade([], `/ws?ticket=${ticket}`), upgraded);
    await checkAnswer(server, upgrade([], `/ws?ticket=${ticket}`), noTicket);
    await checkAnswer(
      server,
      request("POST /auth/ticket", [`Authorization: Bearer ${ticket}`]),
      refusedToken(why.form),
    );

    const shortLived = await issue(withClaims({ exp: inSeconds(1) }));
    const waitMs = Date.parse(shortLived.expires_at) - Date.now() + 1;
    assert(waitMs <= 1001, "a ticket ends with its token");
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, waitMs)));
    await checkAnswer(server, upgrade([], `/ws?ticket=${shortLived.ticket}`), noTicket);
    ran += 6;
  });

  const jwtPublicKey = PublicKey.parse(publicPem);
  await using ofKey = await serve({
    ...settings,
    jwtSecret: undefined,
    jwtPreviousSecret: undefined,
    jwtPublicKey,
  });
  await using ofBoth = await serve({ ...settings, jwtPreviousSecret: undefined, jwtPublicKey });
  const byPem = [publicPem, publicPem.trim(), publicPem.replaceAll("\n", "")]
    .map((key) => sign(claimsOf(), { key }));
  const rsa = "RS256 or RS384 or RS512 or PS256 or PS384 or PS512";
  const cases: [name: string, where: TestServer, token: string, says: string][] = [
    ...byPem.map((token): [string, TestServer, string, string] => [
      "HS256 with the public key",
      ofKey,
      token,
      `its "alg" must be ${rsa}`,
    ]),
    ["HS256 with the secret that is not set", ofKey, alice(), `its "alg" must be ${rsa}`],
    ...byPem.map((token): [string, TestServer, string, string] => [
      "HS256 with the public key, where HS256 is allowed",
      ofBoth,
      token,
      why.signature,
    ]),
    ["RS256 with an HMAC by the secret", ofBoth, withHeader({ alg: "RS256" }), why.signature],
    [
      "RS256 with an HMAC by the key",
      ofBoth,
      sign(claimsOf(), { header: { alg: "RS256" }, key: publicPem }),
      why.signature,
    ],
    [
      "PS256 with a signature of RS256",
      ofBoth,
      (await rsaSigned()).replace(/^[^.]+/, base64url('{"alg":"PS256"}')),
      why.signature,
    ],
    [
      "RS256 with a jwk in it",
      ofBoth,
      await rsaSigned({ jwk: publicKey.export({ format: "jwk" }) as never }),
      'its header must not have "jwk"',
    ],
    ["RS256 where it is not", server, await rsaSigned(), why.algorithm],
  ];
  await section("keys of another kind", cases, async ([, where, token, says]) => {
    sent.add(token);
    await checkAnswer(where, request("GET /stats", [bearer(token)]), refusedToken(says));
  });
  for (const where of [ofKey, ofBoth]) {
    const token = await rsaSigned();
    await checkAnswer(where, request("POST /auth/ticket", [bearer(token)]), ok, {
      isSecret: true,
    });
    ran++;
  }

  for (const token of [alice(), sign(claimsOf(), { key: previousSecret })]) {
    await checkAnswer(
      server,
      request("POST /topics/orders.eu/messages", [bearer(token)], { payload: 1 }),
      ok,
    );
  }
  const { body: stats } = await askByHand(server.port, request("GET /stats", [bearer(admin)]));
  seen.push(stats, JSON.stringify(server.logged), JSON.stringify(behindList.logged));
  assertEquals(server.logged.filter(({ level }) => level === "error"), []);
  assert(server.logged.length > 100 && seen.length > 500);
  const pieces = Array.from(sent).flatMap((text) => [text, ...text.split(".")])
    .filter((piece) => piece.length >= 16);
  const told = seen.join("\n");
  assertEquals(pieces.filter((piece) => told.includes(piece)), []);
  console.log(`${ran} hostile cases of access; ${pieces.length} secrets, none of them told`);
});

async function connectAs(server: TestServer, token: string): Promise<TcpClient> {
  sent.add(token);
  return await TcpClient.connect(server.port, "/ws", carried(token));
}

async function checkAnswer(
  server: TestServer,
  sends: string,
  expected: Answer,
  { isSecret = false } = {},
): Promise<void> {
  const { status, headers, body } = await askByHand(server.port, sends);
  if (!isSecret) note({ status, headers: Array.from(headers), body });
  assertEquals(status, expected.status, body);
  assertEquals(headers.get("www-authenticate") ?? undefined, expected.authenticate);
  if (expected.allowsOrigin !== undefined) {
    assertEquals(headers.get("access-control-allow-origin"), expected.allowsOrigin);
    assertEquals(headers.get("vary"), "Origin");
  }
  if (status === 403 && expected.authenticate === undefined) {
    assertEquals(headers.get("access-control-allow-origin"), null);
  }
  const chosen = headers.get("sec-websocket-protocol");
  assert(chosen === null || chosen === "tidings.v1", `chose ${chosen}`);
  if (expected.code === undefined) return;
  const { error } = JSON.parse(body) as Received;
  assertEquals(error, { code: expected.code, message: expected.says });
}
