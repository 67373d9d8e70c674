/** WebSocket frames that are wrong, or right in odd ways: heads, masks, lengths, and fragments. */

import { concat } from "../frames.ts";
import type { Random } from "../harness.ts";
import { frames, texts } from "./corpus.ts";
import { mutateBytes } from "./mutate_bytes.ts";
import { mutateJson } from "./mutate_json.ts";

const encoder = new TextEncoder();

/** One mutated input: mostly one frame, sometimes a message in fragments. */
export function mutatedFrame(random: Random): Uint8Array<ArrayBuffer> {
  const text = texts[random.below(texts.length)]!;
  switch (random.below(4)) {
    case 0:
      return mutateBytes(frames[random.below(frames.length)]!, frames, random);
    case 1:
      return oddFrame(encoder.encode(text), random);
    case 2:
      return fragments(encoder.encode(mutateJson(text, random)), random);
    default: {
      const payload = mutateBytes(encoder.encode(text), frames, random);
      return frame(0x81, payload, { random });
    }
  }
}

interface FrameOptions {
  readonly random: Random;
  /** What the head says of the length, if not the truth. */
  readonly claimed?: bigint;
  readonly isMasked?: boolean;
}

/** A frame with any first byte, with a mask that is not zero. */
function frame(
  first: number,
  payload: Uint8Array<ArrayBuffer>,
  { random, claimed = BigInt(payload.length), isMasked = true }: FrameOptions,
): Uint8Array<ArrayBuffer> {
  // Now and then longer than need be, which RFC 6455, section 5.2, forbids.
  const width = claimed > 65_535n || random.below(30) === 0
    ? 8
    : claimed > 125n || random.below(30) === 0
    ? 2
    : 0;
  const head = new DataView(new ArrayBuffer(2 + width));
  head.setUint8(0, first);
  head.setUint8(
    1,
    (isMasked ? 0x80 : 0) | (width === 8 ? 127 : width === 2 ? 126 : Number(claimed)),
  );
  if (width === 2) head.setUint16(2, Number(claimed));
  if (width === 8) head.setBigUint64(2, claimed);
  const mask = Uint8Array.from({ length: isMasked ? 4 : 0 }, () => random.below(256));
  const bytes = new Uint8Array(head.byteLength + mask.length + payload.length);
  bytes.set(new Uint8Array(head.buffer));
  bytes.set(mask, head.byteLength);
  const start = head.byteLength + mask.length;
  for (const [index, byte] of payload.entries()) {
    bytes[start + index] = isMasked ? byte ^ mask[index & 3]! : byte;
  }
  return bytes;
}

const lengths = [0n, 1n, 125n, 126n, 127n, 65_535n, 65_536n, 1n << 26n, 1n << 31n, 1n << 40n];

function oddFrame(payload: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const first = random.below(3) === 0 ? 0x81 : random.below(256);
  const claims = [...lengths, (1n << 63n) - 1n, (1n << 64n) - 1n];
  const isLying = random.below(3) === 0;
  return frame(first, payload, {
    random,
    isMasked: random.below(6) > 0,
    ...(isLying && { claimed: claims[random.below(claims.length)]! }),
  });
}

/** A message in pieces, with control frames between them; not always with a beginning or an end. */
function fragments(payload: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const count = 1 + random.below(6);
  const size = Math.ceil(payload.length / count) + 1;
  for (let index = 0; index < count; index++) {
    const isLast = index === count - 1 && random.below(8) > 0;
    const opcode = index === 0 && random.below(12) > 0 ? 1 : 0;
    const piece = payload.slice(index * size, (index + 1) * size);
    parts.push(frame((isLast ? 0x80 : 0) | opcode, piece, { random }));
    if (random.below(4) === 0) {
      const control = 0x88 + random.below(3);
      parts.push(frame(control, payload.slice(0, random.below(10)), { random }));
    }
  }
  return concat(parts);
}
