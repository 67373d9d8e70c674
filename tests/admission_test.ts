import { assertEquals } from "@std/assert";
import { Admission, type AdmissionOptions, type Place } from "../src/admission.ts";
import { RequestError } from "../src/errors.ts";
import { Limits } from "../src/limits.ts";
import { range } from "./harness.ts";

/** An admission with a clock that stands still unless told. */
function admissionOf(options: Partial<AdmissionOptions>) {
  let nowMs = 12_345;
  const limits = new Limits({});
  const admission = new Admission(limits, {
    maxConnections: 1_000_000,
    maxEvictedConnections: 1_000_000,
    maxConnectionsPerAddress: 0,
    maxConnectsPerSecondPerAddress: 0,
    ...options,
  }, () => nowMs);
  return {
    admission,
    limits,
    pass: (ms: number) => nowMs += ms,
    open: (address = "a"): Place => {
      const place = admission.admit(address);
      admission.open(place);
      return place;
    },
    /** The limit for which nothing more is admitted, with the answer's status. */
    refusal: (address = "a"): string => {
      try {
        admission.admit(address);
      } catch (thrown) {
        if (!(thrown instanceof RequestError)) throw thrown;
        const [limit] = /MAX_[A-Z_]+/.exec(thrown.body.message)!;
        return `${thrown.status} ${thrown.body.code} ${limit} ${thrown.body.retry_after_ms}`;
      }
      return "admitted";
    },
  };
}

Deno.test("open, evicted and opening connections share MAX_CONNECTIONS, and give their places back once", () => {
  const { admission, open, refusal } = admissionOf({ maxConnections: 3 });
  const [first, second] = [open(), open()];
  admission.evict(first);
  const opening = admission.admit("b");
  assertEquals(refusal("c"), "503 LIMIT_EXCEEDED MAX_CONNECTIONS 1000");
  assertEquals([admission.taken, admission.evicted], [3, 1]);
  for (const place of [first, first, opening, opening]) admission.leave(place);
  admission.evict(first);
  assertEquals([admission.taken, admission.evicted], [1, 0]);
  admission.leave(second);
  assertEquals([admission.taken, admission.evicted], [0, 0]);
});

Deno.test("one that never opens loses its place, and has it again when it opens after all", () => {
  const { admission, pass, refusal, open } = admissionOf({
    maxConnections: 2,
    maxConnectionsPerAddress: 2,
  });
  const late = admission.admit("a");
  const lost = admission.admit("a");
  pass(99);
  assertEquals(refusal(), "503 LIMIT_EXCEEDED MAX_CONNECTIONS 1000");
  pass(1);
  assertEquals([admission.taken, admission.addresses, admission.lost], [0, 0, 2]);
  const other = open();
  admission.open(late);
  assertEquals([admission.taken, admission.lost], [2, 1]);
  assertEquals(refusal("b"), "503 LIMIT_EXCEEDED MAX_CONNECTIONS 1000");
  admission.leave(lost);
  admission.leave(late);
  admission.leave(other);
  assertEquals([admission.taken, admission.addresses], [0, 0]);
});

Deno.test("too many evicted connections keep new ones out until they are gone", () => {
  const { admission, open, refusal } = admissionOf({ maxEvictedConnections: 2 });
  const places = [open(), open(), open()];
  for (const place of places.slice(1)) admission.evict(place);
  assertEquals(refusal(), "503 LIMIT_EXCEEDED MAX_EVICTED_CONNECTIONS 1000");
  admission.leave(places[1]!);
  assertEquals(refusal(), "admitted");
});

Deno.test("each address has its own share", () => {
  const { admission, open, refusal } = admissionOf({ maxConnectionsPerAddress: 2 });
  const places = [open("a"), open("a"), open("b")];
  assertEquals(refusal("a"), "429 LIMIT_EXCEEDED MAX_CONNECTIONS_PER_ADDRESS 1000");
  const another = open("b");
  assertEquals(admission.addresses, 2);
  admission.evict(places[0]!);
  assertEquals(refusal("a"), "429 LIMIT_EXCEEDED MAX_CONNECTIONS_PER_ADDRESS 1000");
  admission.leave(places[0]!);
  open("a");
  for (const place of [...places, another]) admission.leave(place);
  assertEquals(admission.addresses, 1);
});

Deno.test("each address may open a second's worth at once, and is told when the next may be", () => {
  const { pass, open, refusal, limits } = admissionOf({ maxConnectsPerSecondPerAddress: 4 });
  for (const _ of range(1, 4)) open("a");
  const tooFast = "429 RATE_LIMITED MAX_CONNECTS_PER_SECOND_PER_ADDRESS";
  assertEquals(refusal("a"), `${tooFast} 250`);
  assertEquals(refusal("b"), "admitted");
  pass(200);
  assertEquals(refusal("a"), `${tooFast} 50`);
  pass(50);
  open("a");
  assertEquals(refusal("a"), `${tooFast} 250`);
  assertEquals(limits.refused.MAX_CONNECTS_PER_SECOND_PER_ADDRESS, 3);
});

Deno.test("what is remembered of addresses does not grow: who left a second ago is forgotten", () => {
  const { admission, open, pass } = admissionOf({
    maxConnectionsPerAddress: 5,
    maxConnectsPerSecondPerAddress: 2,
  });
  const stays = open("stays");
  let most = 0;
  for (let n = 0; n < 10_000; n++) {
    admission.leave(open(`address ${n}`));
    pass(1);
    if (n % 100 === 0) most = Math.max(most, admission.addresses);
  }
  assertEquals(most <= 2_001, true, `${most} addresses`);
  pass(2_000);
  assertEquals(admission.addresses, 1);
  admission.leave(stays);
  assertEquals(admission.addresses, 0);
});

Deno.test("who was refused is not let in sooner by being forgotten", () => {
  const { open, pass, refusal } = admissionOf({ maxConnectsPerSecondPerAddress: 2 });
  let admitted = 0;
  pass(990);
  for (let ms = 0; ms < 10_000; ms += 10) {
    if (refusal() === "admitted") admitted++;
    pass(10);
  }
  assertEquals(admitted, 2 + 19, "a burst of two, and two a second");
  open("b");
});
