/** What is mutated: all that the tests and the README send, right and wrong. */

import { fuzzSeeds } from "../bad_input_test.ts";
import { encodeFrame, handshake } from "../frames.ts";
import { root } from "../programs.ts";

const encoder = new TextEncoder();
const readme = await Deno.readTextFile(new URL("README.md", root));

/** Longer ones would only make the fuzzer slow. */
const maxSeedBytes = 12_000;

/** What the README types into wscat. */
const typed = Array.from(readme.matchAll(/^(?:> )?([{[].*"type".*[\]}])$/gm), ([, text]) => text!);

/** What the README asks by curl. */
const curled = Array.from(readme.matchAll(/^\$? ?curl (.*localhost:8000.*)$/gm), ([, line]) => {
  const path = /localhost:8000([^\s"']*)/.exec(line!)![1]!;
  const body = /-d '(.*)'/.exec(line!)?.[1] ?? "";
  const method = /-X (\w+)/.exec(line!)?.[1] ?? "GET";
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost:8000\r\nAccept: */*\r\n`;
  const length = encoder.encode(body).length;
  return body === ""
    ? `${head}\r\n`
    : `${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
});

/** Texts of WebSocket messages. */
export const texts: readonly string[] = [...fuzzSeeds.frames, ...typed]
  .filter(({ length }) => length <= maxSeedBytes);

/** Whole frames. */
export const frames: readonly Uint8Array<ArrayBuffer>[] = [
  ...texts.map((text) => encodeFrame(1, encoder.encode(text))),
  ...[8, 9, 10].map((opcode) => encodeFrame(opcode, new Uint8Array([3, 232]))),
  ...fuzzSeeds.bytes.map((bytes) => new Uint8Array(bytes)),
];

/** HTTP requests, heads with their bodies. Those that are right count several times beside the many that are not. */
export const requests: readonly Uint8Array<ArrayBuffer>[] = [
  ...fuzzSeeds.requests.map((bytes) => new Uint8Array(bytes)),
  ...Array.from({ length: 10 }, () => [
    ...curled.map((text) => encoder.encode(text)),
    handshake("/ws"),
    handshake("/ws", "tidings.batch.v1"),
  ]).flat(),
].filter(({ length }) => length <= maxSeedBytes);

/** The topics that the corpus speaks of. */
export const topics: readonly string[] = [
  ...["work", "history", "echo", "orders", "sensor-data", "t"],
];
