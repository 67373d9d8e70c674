/** A short run of the fuzzer, and whether it would see what it looks for. */

import { assertEquals } from "@std/assert";
import { readFrames } from "./check_frames.ts";
import { faultOfResponses } from "./check_responses.ts";

const program = new URL("main.ts", import.meta.url).pathname;
const seed = Deno.env.get("SEED") ?? String(Math.floor(Math.random() * 2 ** 31));

Deno.test("thousands of mutated frames and requests get nothing but well-formed answers", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", program, "--frames", "4000", "--heads", "4000", "--seed", seed],
    stderr: "inherit",
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stdout));
});

const faultyResponses: Record<string, string> = {
  "a 500": "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
  "no status line": "hello\r\n\r\n",
  "a head without end": "HTTP/1.1 200 OK\r\n",
  "a body that is cut off": "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{}",
  "an error that is no JSON": "HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\noops",
  "an unknown code":
    'HTTP/1.1 400 Bad Request\r\ncontent-length: 37\r\n\r\n{"error":{"code":"NO","message":"no"}}',
  "a body more than there is": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}{}",
  "a second answer that is wrong":
    "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 Internal Server Error\r\n\r\n",
};

for (const [what, response] of Object.entries(faultyResponses)) {
  Deno.test(`the fuzzer sees ${what}`, () => {
    const fault = faultOfResponses(new TextEncoder().encode(response), () => {});
    assertEquals(typeof fault, "string");
  });
}

const text = (value: string) => [0x81, value.length, ...new TextEncoder().encode(value)];
const pong = text('{"type":"pong"}');

const faultyFrames: Record<string, number[]> = {
  "a masked frame": [0x81, 0x82, 0, 0, 0, 0, 0x7b, 0x7d],
  "a reserved bit": [0xc1, 2, 0x7b, 0x7d],
  "an unknown opcode": [0x83, 0],
  "text that is no JSON": text("oops"),
  "a message of no known type": text('{"type":"x"}'),
  "a message after the close frame": [0x88, 2, 3, 232, ...pong],
  "a close code that must not be sent": [0x88, 2, 3, 237],
  "an INTERNAL": text('{"type":"error","error":{"code":"INTERNAL","message":""}}'),
  "a close by a fault": [0x88, 10, 3, 243, ...new TextEncoder().encode("INTERNAL")],
};

for (const [what, bytes] of Object.entries(faultyFrames)) {
  Deno.test(`the fuzzer sees ${what}`, () => {
    assertEquals(readFrames(new Uint8Array(pong)).fault, undefined);
    assertEquals(typeof readFrames(new Uint8Array([...pong, ...bytes])).fault, "string");
  });
}
