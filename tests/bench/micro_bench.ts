/** What one message costs on its road through the process, step by step: `deno bench tests/bench`. */

import type { EngineSink } from "../../src/engine.ts";
import { defaultConfig } from "../../src/config.ts";
import { MemoryEngine } from "../../src/engine_memory.ts";
import { decodeCommand, type Draft, encode, encodeEvent, timestamp } from "../../src/protocol.ts";

const id = "550e8400-e29b-41d4-a716-446655440000";
const nobody: EngineSink = { message: () => {}, deleted: () => {} };

for (const bytes of [64, 1024, 16_384]) {
  const payload = JSON.stringify("x".repeat(bytes - 2));
  const message = `{"id":"${id}","payload":${payload}}`;
  const frame = `{"type":"publish","topic":"bench","request_id":"1","message":${message}}`;
  const decoded = decodeCommand(frame, 128);
  if (decoded.type !== "publish") throw new Error("Cannot decode the publish that is measured");
  const draft: Draft = decoded.message;

  Deno.bench(`decode a publish, payload of ${bytes} bytes`, () => {
    decodeCommand(frame, 128);
  });

  const engine = new MemoryEngine(defaultConfig());
  engine.connect(nobody);
  engine.createTopic("bench");
  Deno.bench(`place a message, payload of ${bytes} bytes`, () => {
    engine.publish("bench", draft, {});
  });

  // A text that is not flat yet: placing, which counts its bytes, is what pays for that.
  Deno.bench(`encode an event, payload of ${bytes} bytes`, () => {
    encodeEvent("bench", draft, 12_345, timestamp());
  });
}

const epoch = crypto.randomUUID();
Deno.bench("encode an ack", () => {
  encode({
    type: "ack",
    request_id: "1",
    topic: "bench",
    status: "ok",
    ts: timestamp(),
    epoch,
    offset: 12_345,
  });
});
