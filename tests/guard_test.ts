/** The borders at which something thrown would end the process: frame → session, timer → job, request → handler. */

import { assert, assertEquals } from "@std/assert";
import { defaultConfig } from "../src/config.ts";
import type { PublishOptions } from "../src/engine.ts";
import { MemoryEngine } from "../src/engine_memory.ts";
import type { Draft } from "../src/protocol.ts";
import { Subscription } from "../src/subscription.ts";
import {
  Client,
  flood,
  getJson,
  publish,
  serve,
  subscribe,
  type TestServer,
  until,
} from "./harness.ts";
import { TcpClient } from "./tcp_client.ts";
import { Valves } from "./valve.ts";

class FaultyEngine extends MemoryEngine {
  override publish(topic: string, draft: Draft, options: PublishOptions) {
    if (draft.payload === '"throw"') throw new Error("planted in publish");
    if (draft.payload === '"reject"') {
      return Promise.reject(new Error("planted rejection")) as never;
    }
    return super.publish(topic, draft, options);
  }

  override listTopics(): never {
    throw new Error("planted in listTopics");
  }
}

async function assertOthersServed(server: TestServer, beside: Client): Promise<void> {
  const before = beside.events.length;
  await beside.request(publish("t", "fine"));
  await beside.fence();
  assertEquals(beside.events.length, before + 1);
  assertEquals((await getJson(server, "/health")).status, "ok");
}

Deno.test("a throw in a command's handler costs that request an INTERNAL and nobody else anything", async () => {
  await using server = await serve({ topics: ["t"] }, {
    engine: new FaultyEngine(defaultConfig({ maxHistory: 10 })),
  });
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  await using client = await Client.connect(server);
  for (const payload of ["throw", "reject"]) {
    const answer = await client.request(publish("t", payload));
    assertEquals([answer.type, answer.error.code], ["error", "INTERNAL"]);
    assert(!JSON.stringify(answer).includes("planted"), "what was thrown stays in the log");
    await assertOthersServed(server, beside);
  }
  await client.fence();
  assertEquals(server.logged.filter(({ level }) => level === "error").length, 2);
});

Deno.test("a throw in a request's handler is a 500 with the contract's body and no stack", async () => {
  await using server = await serve({ topics: ["t"] }, {
    engine: new FaultyEngine(defaultConfig({ maxHistory: 10 })),
  });
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  const response = await fetch(`${server.url}/topics`);
  assertEquals(response.status, 500);
  const body = await response.text();
  assertEquals(JSON.parse(body).error.code, "INTERNAL");
  assert(!body.includes("planted") && !body.includes(".ts"));
  await assertOthersServed(server, beside);
});

Deno.test("a throw in a timer's job closes that connection with 1011 and no other", async () => {
  await using server = await serve({ topics: ["t"], heartbeatIntervalSeconds: 1 });
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  const unlucky = await Client.connect(server);
  using _ = throwOnHeartbeat(unlucky);
  const { code, reason } = await unlucky.closed;
  assertEquals([code, reason], [1011, "INTERNAL"]);
  await assertOthersServed(server, beside);
  await until(
    () => beside.received.some(({ msg }) => msg === "ping"),
    "the other one's heartbeat came",
  );
});

Deno.test("a throw while a slow connection is sent what waits for it closes that one with 1011 and no other", async () => {
  using valves = new Valves();
  await using server = await serve({ topics: ["t"], maxBufferedBytes: 16_384 });
  await using beside = await Client.connect(server);
  await beside.request(subscribe("t"));
  await using slow = await TcpClient.connect(server.port, "/ws?valve=slow");
  slow.send(subscribe("t"));
  await slow.fence();
  valves.close("slow");
  await flood(beside, 100);
  const { drain } = Subscription.prototype;
  Subscription.prototype.drain = () => {
    throw new Error("planted in drain");
  };
  try {
    valves.open("slow");
    assertEquals(await slow.closed, 1011);
  } finally {
    Subscription.prototype.drain = drain;
  }
  await assertOthersServed(server, beside);
});

/** Makes the server's socket for one client throw when a heartbeat is sent on it, until it is disposed of. */
function throwOnHeartbeat(client: Client): Disposable {
  const { send } = WebSocket.prototype;
  let victim: WebSocket | undefined;
  WebSocket.prototype.send = function (this: WebSocket, data: string) {
    if (data.includes('"pong"')) victim = this;
    if (data.includes('"info"') && this === victim) throw new Error("planted in send");
    send.call(this, data as never);
  };
  client.send({ type: "ping" });
  return {
    [Symbol.dispose]: () => {
      WebSocket.prototype.send = send;
    },
  };
}
