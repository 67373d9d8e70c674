/** A short soak, and whether a soak would find what it looks for. */

import { assert, assertEquals } from "@std/assert";
import { reportSoak } from "./report.ts";
import { soak } from "./soak.ts";
import type { TamperKind } from "./tamper.ts";
import type { Breach } from "./verdict.ts";

const seed = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 2 ** 31));

Deno.test("ten seconds of faults break no promise", async () => {
  const result = await soak({ seconds: 10, seed });
  assert(result.verdict.isClean, `SEED=${seed}\n${reportSoak(result)}`);
  assert(result.verdict.faultCount >= 5, reportSoak(result));
});

const planted: readonly (readonly [what: string, tamper: TamperKind, found: Breach])[] = [
  ["an event is dropped", "drop", "unreported gaps"],
  ["an event comes twice", "double", "duplicated"],
  ["two events are swapped", "swap", "reordered"],
];

for (const [what, tamper, found] of planted) {
  Deno.test(`the soak finds it when ${what} on the way`, async () => {
    const { verdict } = await soak({ seconds: 2, seed, tamper });
    assert(verdict.count(found) > 0, `SEED=${seed}: not found`);
    const others = [...verdict.breached].filter(([kind, count]) => kind !== found && count > 0);
    assertEquals(others, [], `SEED=${seed}`);
  });
}
