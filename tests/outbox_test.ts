import { assertEquals } from "@std/assert";
import type { Closing } from "../src/errors.ts";
import { type Connection, Drainer, Outbox } from "../src/outbox.ts";
import type { Waiting } from "../src/subscription.ts";

const limit = 1_000;
const frame = { text: "x".repeat(100), bytes: 100 };

/** A connection of which the test says what is written. */
class ManualConnection implements Connection {
  bufferedBytes = 0;
  closing: Closing | undefined;

  send(text: string): void {
    this.bufferedBytes += text.length;
  }

  close(closing: Closing): void {
    this.closing = closing;
  }
}

/** An outbox for which more waits than will ever go out, and the time between two looks at it. */
function crowdedOutbox() {
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
  const endless: Waiting = {
    drain: () => {
      while (outbox.offer(frame));
      return false;
    },
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
