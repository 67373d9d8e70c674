/**
 * Finds values inside a JSON text without building them, so that a payload leaves as the very characters it came in
 * as: `JSON.parse` would round a 20-digit integer and turn `1e400` into `Infinity`.
 *
 * Every function here takes a text that `JSON.parse` has accepted; on any other text the result is undefined.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** A JSON value as text, on one line. */
export type JsonText = string & { readonly jsonText: unique symbol };

/** The text of an object's member (the last one of that name, as `JSON.parse` takes it), or `undefined`. */
export function memberText(object: string, name: string): JsonText | undefined {
  let found: string | undefined;
  let at = skipSpace(object, skipSpace(object, 0) + 1);
  while (object.charCodeAt(at) === QUOTE) {
    const keyEnd = endOfString(object, at);
    const valueStart = skipSpace(object, skipSpace(object, keyEnd) + 1);
    const valueEnd = endOfValue(object, valueStart);
    if (keyIs(object, at, keyEnd, name)) found = object.slice(valueStart, valueEnd);
    at = skipSpace(object, valueEnd);
    if (object.charCodeAt(at) === COMMA) at = skipSpace(object, at + 1);
  }
  return found === undefined ? undefined : onOneLine(found);
}

/** The text of the value at a path of names, which must be there; of the last one where a name stands twice. */
export function textOf(object: string, ...path: string[]): JsonText | undefined {
  const last = `"${path.at(-1)}"`;
  const at = object.indexOf(last);
  // Where the name stands once, and nothing is escaped, there is no need to walk down to it: it is there, if anywhere.
  if (at >= 0 && at === object.lastIndexOf(last) && !object.includes("\\")) {
    const colon = skipSpace(object, at + last.length);
    if (object.charCodeAt(colon) === COLON) {
      const start = skipSpace(object, colon + 1);
      return onOneLine(object.slice(start, endOfValue(object, start)));
    }
  }
  return path.reduce<string | undefined>(
    (text, name) => text === undefined ? undefined : memberText(text, name),
    object,
  ) as JsonText | undefined;
}

/** The texts of an array's elements. */
export function elementTexts(array: string): JsonText[] {
  const found: JsonText[] = [];
  let at = skipSpace(array, skipSpace(array, 0) + 1);
  while (at < array.length && array.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = endOfValue(array, at);
    found.push(onOneLine(array.slice(at, end)));
    at = skipSpace(array, end);
    if (array.charCodeAt(at) === COMMA) at = skipSpace(array, at + 1);
  }
  return found;
}

/** How many arrays and objects stand inside each other at the deepest place: 0 for a scalar. */
export function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at) - 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) deepest = Math.max(deepest, ++depth);
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
  }
  return deepest;
}

/** A raw line break can only be white space between tokens: inside a JSON string it is escaped. */
function onOneLine(text: string): JsonText {
  const broken = text.includes("\n") || text.includes("\r");
  return (broken ? text.replace(/[\r\n]+/g, " ") : text) as JsonText;
}

function keyIs(text: string, start: number, end: number, name: string): boolean {
  // As long as the name means without escapes: a backslash in it would be the first half of one.
  if (end - start - 2 === name.length) {
    return text.startsWith(name, start + 1) && !name.includes("\\");
  }
  return text.slice(start, end).includes("\\") && JSON.parse(text.slice(start, end)) === name;
}

function skipSpace(text: string, at: number): number {
  let code = text.charCodeAt(at);
  while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
    code = text.charCodeAt(++at);
  }
  return at;
}

/** The index after the closing quote of the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  while (isEscaped(text, quote)) quote = text.indexOf('"', quote + 1);
  return quote + 1;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

/** The index after the value that starts at `start`. */
function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === QUOTE) return endOfString(text, start);
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at) - 1;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth++;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (code === COMMA || code <= 0x20)) {
      return at;
    }
  }
  return text.length;
}
