/** HTTP requests that are wrong, or right in odd ways: lines, headers, bodies and their lengths. */

import type { Random } from "../harness.ts";
import { requests } from "./corpus.ts";
import { mutateBytes } from "./mutate_bytes.ts";
import { mutateJson } from "./mutate_json.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

const methods = ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "CONNECT", "PRI", "G\tT", ""];
const targets = [
  ...["/", "/ws", "/topics", "/topics/work", "/topics/work/messages?after=0&limit=5", "/health"],
  ...["/stats", "*", "//", "/%", "/topics/%00", "http://x/topics", "x:1", "/\0", "/?%zz", "/#x"],
];
const versions = ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 ", "http/1.1", "HTTP/1.10", ""];
const headers = [
  ...["Host: x", "Host: x/ws?", "Host: [::1]:80", "Content-Length: 0", "Content-Length: 5"],
  ...["Content-Length: 99999999999999999999", "Content-Length: +1", "Content-Length: 0x10"],
  ...["Transfer-Encoding: chunked", "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: x"],
  ...["Connection: close", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Upgrade: h2c"],
  ...["Expect: 100-continue", "Content-Type: application/json", "Content-Type: ;", "Origin: null"],
  ...["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Cookie: a=b"],
  ...["Sec-WebSocket-Protocol: tidings.batch.v1", "Sec-WebSocket-Protocol: ,,,", "Range: bytes=0-"],
  ...["Authorization: Bearer x", "X-Forwarded-For: 1.2.3.4", " folded", "no colon", ": x", "x:"],
  ...[`X: ${"x".repeat(9_000)}`, `Sec-WebSocket-Protocol: ${",".repeat(5_000)}`, "Accept: a/b;q=z"],
];

/** One mutated request. */
export function mutatedRequest(random: Random): Uint8Array<ArrayBuffer> {
  const bytes = requests[random.below(requests.length)]!;
  switch (random.below(6)) {
    case 0:
      return mutateBytes(bytes, requests, random);
    case 1:
      return mutateBytes(mutateStructure(bytes, random), requests, random);
    default:
      return mutateStructure(bytes, random);
  }
}

function mutateStructure(bytes: Uint8Array<ArrayBuffer>, random: Random): Uint8Array<ArrayBuffer> {
  const text = decoder.decode(bytes);
  const end = text.indexOf("\r\n\r\n");
  const [line = "", ...lines] = (end < 0 ? text : text.slice(0, end)).split("\r\n");
  let body = end < 0 ? "" : text.slice(end + 4);
  const head = { line, lines };
  // Now and then the head stays right, so that it is the body that is looked at.
  for (let left = random.below(4); left > 0; left--) mutateHead(head, random);
  if (body !== "" && random.below(4) > 0) {
    body = decoder.decode(encoder.encode(mutateJson(body, random)));
    // Mostly with its right length, so that it is read.
    if (random.below(4) > 0) {
      head.lines = head.lines.filter((header) => !/^(content-length|transfer-)/i.test(header));
      if (random.below(3) === 0) {
        head.lines.push("Transfer-Encoding: chunked");
        body = chunked(body, random);
      } else {
        head.lines.push(`Content-Length: ${body.length}`);
      }
    }
  }
  const newline = random.below(20) === 0 ? "\n" : "\r\n";
  const joined = [head.line, ...head.lines, "", body].join(newline);
  return Uint8Array.from(joined, (character) => character.charCodeAt(0));
}

function mutateHead(head: { line: string; lines: string[] }, random: Random): void {
  const at = random.below(head.lines.length + 1);
  const pick = (list: readonly string[]) => list[random.below(list.length)]!;
  const [method = "", target = "", version = ""] = head.line.split(" ");
  switch (random.below(8)) {
    case 0:
      head.line = `${pick(methods)} ${target} ${version}`;
      break;
    case 1:
      head.line = `${method} ${pick(targets)} ${version}`;
      break;
    case 2:
      head.line = `${method} ${target} ${pick(versions)}`;
      break;
    case 3:
      head.lines.splice(at, 1);
      break;
    case 4:
      head.lines.splice(at, 0, head.lines[random.below(head.lines.length)] ?? "x: y");
      break;
    case 5:
      head.lines.splice(at, 0, ...Array.from({ length: random.below(150) }, (_, n) => `x${n}: y`));
      break;
    default:
      head.lines.splice(at, random.below(2), pick(headers));
  }
}

function chunked(body: string, random: Random): string {
  const size = 1 + random.below(body.length + 1);
  const sizes = [
    size.toString(16),
    `${size.toString(16)};x=y`,
    "-1",
    "fffffffffffffffff",
    "zz",
    "",
  ];
  const claimed = random.below(3) > 0 ? sizes[0] : sizes[random.below(sizes.length)];
  const rest = body.slice(size);
  const last = rest === "" ? "" : `${rest.length.toString(16)}\r\n${rest}\r\n`;
  return `${claimed}\r\n${body.slice(0, size)}\r\n${last}0\r\n${
    random.below(4) ? "" : "x: y\r\n"
  }\r\n`;
}
