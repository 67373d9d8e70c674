import { assertEquals } from "@std/assert";
import { IdempotencyWindow } from "../src/idempotency.ts";
import type { Draft } from "../src/protocol.ts";

const options = { idempotencyWindowSeconds: 60, maxIdempotencyIds: 3 };

function draft(id: string, payload = "1"): Draft {
  return { id, payload: payload as Draft["payload"] };
}

Deno.test("a message is found again by its id in either letter case, with the same characters", () => {
  const window = new IdempotencyWindow(options);
  assertEquals(window.find(draft("a")), undefined);
  window.add(draft("a", '{"n":1}'), 7);
  assertEquals(window.find(draft("A", '{"n":1}')), 7);
  assertEquals(window.find(draft("a", '{"n": 1}')), "id_reused");
});

Deno.test("one more message than is remembered pushes the oldest out", () => {
  const window = new IdempotencyWindow(options);
  for (const [index, id] of ["a", "b", "c", "d"].entries()) window.add(draft(id), index + 1);
  const found = ["a", "b", "c", "d"].map((id) => window.find(draft(id)));
  assertEquals(found, [undefined, 2, 3, 4]);
});

Deno.test("a message is remembered for the seconds of the window and no longer", () => {
  const { now } = performance;
  let nowMs = 1_000;
  performance.now = () => nowMs;
  try {
    const window = new IdempotencyWindow(options);
    window.add(draft("a"), 1);
    nowMs += 59_999;
    window.add(draft("b"), 2);
    assertEquals([window.find(draft("a")), window.find(draft("b"))], [1, 2]);
    nowMs += 2;
    assertEquals([window.find(draft("a")), window.find(draft("b"))], [undefined, 2]);
  } finally {
    performance.now = now;
  }
});
