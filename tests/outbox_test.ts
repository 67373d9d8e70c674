import { assertEquals } from "@std/assert";
import { Broker } from "../src/broker.ts";
import { defaultConfig } from "../src/config.ts";
import { MemoryEngine } from "../src/engine_memory.ts";
import type { Closing } from "../src/errors.ts";
import type { JsonText } from "../src/json_text.ts";
import { type Connection, Drainer, Outbox } from "../src/outbox.ts";
import type { Waiting } from "../src/subscription.ts";
import { Turn } from "../src/turn.ts";

const limit = 1_000;
const frame = { text: "x".repeat(100), bytes: 100 };

/** A connection of which the test says what is written. */
class ManualConnection implements Connection {
  bufferedBytes = 0;
  closing: Closing | undefined;
  readonly sent: string[] = [];

  send(text: string): void {
    this.sent.push(text);
    this.bufferedBytes += text.length;
  }

  close(closing: Closing): void {
    this.closing = closing;
  }
}

function openOutbox() {
  const connection = new ManualConnection();
  const drainer = new Drainer(5, (thrown) => {
    throw thrown;
  });
  const outbox = new Outbox(connection, drainer, {
    maxBufferedBytes: limit,
    maxControlBacklogBytes: 1_000_000,
    onControlBacklogFull: () => {},
    stallTimeoutMs: 2_000,
  });
  return { connection, outbox };
}

/** An outbox for which more waits than will ever go out. */
function crowdedOutbox() {
  const { connection, outbox } = openOutbox();
  const endless: Waiting = {
    drain: () => {
      while (outbox.offer(frame));
      return false;
    },
    prolong: () => {},
  };
  outbox.wait(endless);
  return { connection, outbox, [Symbol.dispose]: () => outbox.forget() };
}

Deno.test("a connection that writes all it is given is not taken for stalled, however much waits", () => {
  using crowded = crowdedOutbox();
  const { connection, outbox } = crowded;
  for (let nowMs = 1; nowMs < 10_000; nowMs += 5) {
    outbox.drain(nowMs);
    assertEquals(connection.bufferedBytes, limit, "every look finds room and fills it");
    connection.bufferedBytes = 0;
  }
  assertEquals(connection.closing, undefined);
});

Deno.test("a connection that writes a little at a time is not taken for stalled", () => {
  using crowded = crowdedOutbox();
  const { connection, outbox } = crowded;
  for (let nowMs = 1; nowMs < 20_000; nowMs += 500) {
    outbox.drain(nowMs);
    connection.bufferedBytes -= 1;
  }
  assertEquals(connection.closing, undefined);
});

Deno.test("a connection that writes nothing while something waits is closed after the time-out", () => {
  using crowded = crowdedOutbox();
  const { connection, outbox } = crowded;
  let nowMs = 1;
  for (; nowMs < 10_000 && !connection.closing; nowMs += 5) outbox.drain(nowMs);
  assertEquals(connection.closing?.code, 4008);
  assertEquals(nowMs > 2_000 && nowMs < 2_200, true, `after ${nowMs} ms`);
});

Deno.test("a pong comes after all that was queued when its ping came, also in the middle of a subscription's turn", () => {
  const { connection, outbox } = openOutbox();
  const config = defaultConfig();
  const broker = new Broker(new MemoryEngine(config), new Turn(() => {}), config);
  const publish = (count: number) => {
    const draft = { id: crypto.randomUUID(), payload: '"x"' as JsonText };
    for (let left = count; left > 0; left--) broker.publish("t", draft, { origin: "p" });
  };
  broker.createTopic("t");
  const opened = broker.subscribe("t", { outlet: outbox, isMerging: false, topicDeleted() {} }, {
    clientId: "c",
    overflow: "drop_oldest",
    mutedOrigin: undefined,
    lastN: 0,
  });
  if (typeof opened !== "object" || opened instanceof Promise) throw new Error("no subscription");
  opened.subscription.start();

  connection.bufferedBytes = 10 * limit;
  publish(20);
  connection.bufferedBytes = 0;
  outbox.drain(1);
  const begun = connection.sent.length;
  publish(5);
  outbox.control("pong");
  for (let nowMs = 1_000; !connection.sent.includes("pong"); nowMs += 1_000) {
    connection.bufferedBytes = 0;
    outbox.drain(nowMs);
  }
  outbox.forget();

  assertEquals(begun > 0 && begun < 20, true, `${begun} were sent before the room ran out`);
  assertEquals(connection.sent.indexOf("pong"), 25);
});
