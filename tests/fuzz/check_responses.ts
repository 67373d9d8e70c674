/** Whether what a server answers over HTTP is well-formed, and an error of ours the contract's. */

import { errorCodes } from "../../src/errors.ts";
import { readFrames } from "./check_frames.ts";

const latin1 = new TextDecoder("latin1");
const statuses = [
  101,
  200,
  201,
  204,
  400,
  404,
  405,
  408,
  409,
  413,
  415,
  417,
  426,
  429,
  431,
  501,
  503,
];

/** What is wrong with all that a connection answered; `undefined` when nothing is. */
export function faultOfResponses(
  bytes: Uint8Array,
  answered: (what: string) => void,
): string | undefined {
  let rest = bytes;
  if (rest.length === 0) answered("no answer");
  while (rest.length > 0) {
    const text = latin1.decode(rest);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return `a head without end: ${JSON.stringify(text.slice(0, 200))}`;
    const [statusLine = "", ...lines] = text.slice(0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3}) [ -~]*$/.exec(statusLine)?.[1]);
    if (Number.isNaN(status)) return `status line ${JSON.stringify(statusLine.slice(0, 200))}`;
    if (status === 100) {
      rest = rest.subarray(end + 4);
      continue;
    }
    if (!statuses.includes(status)) return `status ${status}`;
    answered(`HTTP ${status}`);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const [, name, value] = /^([\w-]+): ([ -~]*)$/.exec(line) ?? [];
      if (name === undefined) return `header ${JSON.stringify(line.slice(0, 200))}`;
      headers.set(name.toLowerCase(), value!);
    }
    rest = rest.subarray(end + 4);
    if (status === 101) {
      const { fault, messages, closeCode } = readFrames(rest);
      for (const { type, error } of messages) answered(error ? `error ${error.code}` : type);
      answered(`close ${closeCode ?? "without a word"}`);
      return fault;
    }
    const body = bodyOf(rest, headers, status);
    if (typeof body === "string") return body;
    const fault = status >= 400 ? faultOfError(status, body) : undefined;
    if (fault) return fault;
    rest = rest.subarray(body.length);
  }
  return undefined;
}

/** The body's bytes, or what is wrong with it. */
function bodyOf(
  rest: Uint8Array,
  headers: ReadonlyMap<string, string>,
  status: number,
): Uint8Array | string {
  const length = Number(headers.get("content-length") ?? 0);
  // An answer to HEAD tells the length of what it does not have, and one may follow another.
  const isBodiless = status === 204 || rest.length === 0 || isAnswer(rest);
  if (isBodiless) return new Uint8Array();
  if (headers.has("transfer-encoding")) return "chunks";
  if (rest.length < length) return `${rest.length} bytes of a body of ${length}`;
  return rest.subarray(0, length);
}

function isAnswer(bytes: Uint8Array): boolean {
  return latin1.decode(bytes.subarray(0, 7)) === "HTTP/1.";
}

/** The runtime's own refusals have no body; every other error has the contract's. */
function faultOfError(status: number, body: Uint8Array): string | undefined {
  if (body.length === 0) return undefined;
  const text = new TextDecoder().decode(body);
  try {
    const { error, ...others } = JSON.parse(text);
    const isKnown = Object.hasOwn(errorCodes, error.code);
    const isWhole = typeof error.message === "string" && Object.keys(others).length === 0;
    if (!isKnown || !isWhole) return `error ${text.slice(0, 200)}`;
    if (error.code === "INTERNAL") return `INTERNAL: ${error.message}`;
    return undefined;
  } catch {
    return `a body of ${status} that is no JSON: ${JSON.stringify(text.slice(0, 200))}`;
  }
}
