import { assertEquals } from "@std/assert";
import { Random } from "../../harness.ts";
import { marker, MarkerCounter } from "./marker.ts";

Deno.test("MarkerCounter counts every marker once, wherever the reads are cut", () => {
  const random = new Random();
  for (let run = 0; run < 300; run++) {
    const buffer = new Uint8Array(4096);
    const counter = new MarkerCounter(buffer, 2);
    const size = 10 + random.below(60);
    const streams = [0, 1].map(() => {
      const messages = Array.from({ length: random.below(80) }, () => {
        // As frames do: now and then a head before the message, whose bytes may look like a part of the marker.
        const head = ["", "", "", "~", "^", "^~", "~~"][random.below(7)]!;
        return `${head}{"${marker}${"x".repeat(size)}"}`;
      });
      return { bytes: new TextEncoder().encode(messages.join("")), at: 0, sent: messages.length };
    });
    const counted = [0, 0];
    while (streams.some(({ at, bytes }) => at < bytes.length)) {
      const connection = random.below(2);
      const stream = streams[connection]!;
      const rest = stream.bytes.length - stream.at;
      if (rest === 0) continue;
      const length = Math.min(rest, 1 + random.below(random.below(4) === 0 ? 3 : 600));
      buffer.set(stream.bytes.subarray(stream.at, stream.at + length));
      stream.at += length;
      counted[connection]! += counter.count(connection, length);
    }
    assertEquals(counted, streams.map(({ sent }) => sent), `seed ${random.seed}, run ${run}`);
  }
});
