import { assertEquals } from "@std/assert";
import { RequestPace } from "../src/pace.ts";
import { range } from "./harness.ts";

/** A pace with a clock that stands still unless told, and so many requests at once. */
function paceOf(perSecond: number) {
  let nowMs = 12_345;
  const pace = new RequestPace(perSecond, () => nowMs);
  return {
    pace,
    pass: (ms: number) => nowMs += ms,
    /** How many of so many requests at once may be done. */
    burst: (count: number) => range(1, count).filter(() => pace.take() === 0).length,
  };
}

Deno.test("a second's worth of requests is done at once, and then as many as time brings", () => {
  const { pass, burst } = paceOf(10);
  assertEquals(burst(15), 10);
  pass(99);
  assertEquals(burst(1), 0);
  pass(1);
  assertEquals(burst(2), 1);
  pass(60_000);
  assertEquals(burst(100), 10, "never more than a second's worth is saved up");
});

Deno.test("after the pause that it is told, a client has a whole second's worth again", () => {
  const { pace, pass, burst } = paceOf(7);
  burst(7);
  pass(130);
  const retryAfterMs = pace.take();
  assertEquals(retryAfterMs, 1000);
  pass(retryAfterMs);
  assertEquals(burst(7), 7);
});

for (const perSecond of [1, 2, 10, 1000]) {
  Deno.test(`${perSecond} a second: who heeds is never taken for one who ignores, whatever it sends at once`, () => {
    const { pace, pass, burst } = paceOf(perSecond);
    for (let waiting = 5_000; waiting > 0;) {
      waiting -= burst(waiting);
      assertEquals(pace.isIgnored, false);
      // The timer is early.
      pass(990);
    }
    for (let round = 0; round < 100; round++) {
      burst(10 * perSecond);
      assertEquals(pace.isIgnored, false);
      pass(1000);
    }
  });

  Deno.test(`${perSecond} a second: what was sent before the first refusal can be read is forgiven`, () => {
    const { pace, pass, burst } = paceOf(perSecond);
    for (let part = 0; part < 100; part++) {
      burst(1_000);
      pass(10);
    }
    assertEquals(pace.isIgnored, false);
  });

  Deno.test(`${perSecond} a second: who goes on is taken for one who ignores after a second's worth of refusals`, () => {
    const { pace, pass, burst } = paceOf(perSecond);
    burst(perSecond + 1);
    let refused = 0;
    for (let ms = 0; !pace.isIgnored; ms++) {
      pass(1);
      const count = 10 - burst(10);
      if (ms >= 1000) refused += count;
      assertEquals(pace.isIgnored, refused > perSecond);
    }
  });
}

Deno.test("who pauses too short goes on ignoring, who pauses as told begins anew", () => {
  const { pace, pass, burst } = paceOf(10);
  burst(11);
  for (let round = 0; round < 5; round++) {
    pass(900);
    burst(12);
  }
  assertEquals(pace.isIgnored, true);
  const { pace: other, ...client } = paceOf(10);
  client.burst(11);
  client.pass(900);
  client.burst(19);
  client.pass(1000);
  client.burst(1_000);
  assertEquals(other.isIgnored, false);
});
