import { assertEquals } from "@std/assert";
import { Ring } from "../src/ring.ts";
import { Random } from "./harness.ts";

/** What a ring must hold, the slow way. */
class Model {
  readonly capacity: number;
  items: number[] = [];
  next: number;

  constructor(capacity: number, next: number) {
    this.capacity = capacity;
    this.next = next;
  }

  push(): number {
    this.items.push(this.next);
    if (this.items.length > this.capacity) this.items.shift();
    return this.next++;
  }

  get first(): number {
    return this.next - this.items.length;
  }
}

Deno.test("a ring holds what a plain array would, whatever is done to it", () => {
  const random = new Random();
  const where = `SEED=${random.seed}`;
  for (let round = 0; round < 300; round++) {
    const capacity = [0, 1, 2, 3, 4, 5, 7, 8, 9, 50][random.below(10)]!;
    const start = [0, 1, 2, 1_000_000_007][random.below(4)]!;
    const ring = new Ring<number>(capacity, start);
    const model = new Model(capacity, start);
    for (let step = 0; step < 120; step++) {
      const action = random.below(20);
      if (action < 13) {
        ring.push(model.push());
      } else if (action < 19) {
        if (model.items.length > 0) assertEquals(ring.shift(), model.items.shift(), where);
      } else {
        model.next = random.below(1000);
        model.items = [];
        ring.restart(model.next);
      }
      assertEquals(ring.size, model.items.length, where);
      assertEquals(ring.first, model.first, where);
      const from = model.first - 2 + random.below(capacity + 4);
      assertEquals(ring.since(from), model.items.filter((item) => item >= from), where);
      for (const item of model.items) assertEquals(ring.at(item), item, where);
    }
  }
});

Deno.test("a ring no longer shows what it pushed out, what was taken and what it forgot", () => {
  const ring = new Ring<string>(2, 1);
  for (const item of ["a", "b", "c"]) ring.push(item);
  assertEquals(ring.since(-Infinity), ["b", "c"]);
  assertEquals(ring.shift(), "b");
  assertEquals(ring.since(0), ["c"]);
  ring.restart(1);
  assertEquals([ring.size, ring.first, ring.since(0)], [0, 1, []]);
  ring.push("d");
  assertEquals(ring.at(1), "d");
});

Deno.test("a ring without capacity counts and holds nothing", () => {
  const ring = new Ring<string>(0, 1);
  for (const item of ["a", "b", "c"]) ring.push(item);
  assertEquals([ring.size, ring.first, ring.since(0)], [0, 4, []]);
});
