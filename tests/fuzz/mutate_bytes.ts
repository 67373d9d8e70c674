/** Bytes as a broken or hostile sender sends them: a valid input with some of it changed. */

import type { Random } from "../harness.ts";

const interesting = [
  0,
  1,
  9,
  10,
  13,
  32,
  0x22,
  0x2f,
  0x3a,
  0x7d,
  0x7e,
  0x7f,
  0x80,
  0x81,
  0x88,
  0xfe,
];
/** No input grows beyond this. */
const maxBytes = 20_000;

/** Changes 1 to 3 things; `others` is what pieces may come from. */
export function mutateBytes(
  bytes: Uint8Array<ArrayBuffer>,
  others: readonly Uint8Array<ArrayBuffer>[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  let mutated = bytes.slice(0, maxBytes);
  for (let left = 1 + random.below(3); left > 0; left--) {
    mutated = mutateOnce(mutated, others[random.below(others.length)]!, random);
  }
  return mutated.length > maxBytes ? mutated.slice(0, maxBytes) : mutated;
}

function mutateOnce(
  bytes: Uint8Array<ArrayBuffer>,
  other: Uint8Array<ArrayBuffer>,
  random: Random,
): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const to = Math.min(bytes.length, at + 1 + random.below(random.below(2) === 0 ? 4 : 64));
  switch (random.below(8)) {
    case 0:
      return replaced(bytes, at, to, []);
    case 1:
      return replaced(bytes, at, at, bytes.subarray(at, to));
    case 2:
      return replaced(bytes, at, at + 1, [(bytes[at] ?? 0) ^ (1 << random.below(8))]);
    case 3:
      return replaced(bytes, at, at + 1, [interesting[random.below(interesting.length)]!]);
    case 4:
      return replaced(
        bytes,
        at,
        at,
        Array.from({ length: 1 + random.below(8) }, () => random.below(256)),
      );
    case 5:
      return replaced(bytes, at, at, new Uint8Array(1 + random.below(300)).fill(random.below(256)));
    case 6: {
      const from = random.below(other.length + 1);
      return replaced(bytes, at, to, other.subarray(from, from + random.below(200)));
    }
    default:
      return bytes.slice(0, at);
  }
}

/** Bytes with those from `at` up to `to` replaced. */
function replaced(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  to: number,
  by: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  const rest = bytes.subarray(to);
  const result = new Uint8Array(at + by.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(by, at);
  result.set(rest, at + by.length);
  return result;
}
