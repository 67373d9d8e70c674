/** JSON whose structure is changed, and texts that are nearly JSON. */

import type { Random } from "../harness.ts";

type Json = unknown;

const uuid = "a1b2c3d4-e5f6-7890-1234-567890abcdef";
const words = [
  ...["", "t", "work", "echo", "orders", "a/b", "..", "__proto__", "constructor", "\0", "\ud800"],
  ...["\u202e", "💥", "publish", "subscribe", "unsubscribe", "ping", "drop_oldest", "catch_up"],
  ...["latest", "disconnect", uuid, uuid.toUpperCase(), "x".repeat(255), "x".repeat(256)],
];
const numbers = [0, -0, 1, -1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 63), 1e21, 1e308, 5e-324];
const keys = [
  ...["type", "topic", "client_id", "last_n", "since", "epoch", "offset", "overflow", "echo"],
  ...["message", "id", "payload", "idempotent", "request_id", "name", "__proto__", "constructor"],
];
const texts = ["01", "1e400", "-", "NaN", "[,]", "{,}", "\\u12", "//", "\ufeff", "\u2028", "nul"];

/** Changes 1 to 3 things of a text that may be JSON. */
export function mutateJson(text: string, random: Random): string {
  let mutated = text;
  for (let left = 1 + random.below(3); left > 0; left--) {
    const value = random.below(4) > 0 ? parsed(mutated) : undefined;
    mutated = value === undefined ? mutateText(mutated, random) : write(value, random);
  }
  return mutated;
}

function parsed(text: string): Json | undefined {
  if (text.length > 4_000) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function write(value: Json, random: Random): string {
  const spaces = random.below(8) === 0 ? random.below(3) : 0;
  return JSON.stringify(change(value, random, 0), undefined, spaces) ?? "";
}

/** The value with one thing changed, at any depth. */
function change(value: Json, random: Random, depth: number): Json {
  if (depth > 20 || random.below(4) === 0) return anything(random);
  if (Array.isArray(value)) {
    const at = random.below(value.length + 1);
    if (random.below(3) === 0) return value.toSpliced(at, 0, anything(random));
    if (random.below(3) === 0) return value.toSpliced(at, 1);
    return value.length === 0 ? [anything(random)] : value.with(
      at % value.length,
      change(value[at % value.length], random, depth + 1),
    );
  }
  if (typeof value !== "object" || value === null) return anything(random);
  const entries = Object.entries(value);
  const at = random.below(entries.length + 1);
  const [key, member] = entries[at] ?? [keys[random.below(keys.length)]!, anything(random)];
  switch (random.below(5)) {
    case 0:
      return Object.fromEntries(entries.toSpliced(at, 1));
    case 1:
      return fromEntries([...entries, [keys[random.below(keys.length)]!, anything(random)]]);
    case 2:
      return fromEntries(entries.toSpliced(at, 1, [keys[random.below(keys.length)]!, member]));
    default:
      return fromEntries(
        entries.toSpliced(at, 1, [key, change(member, random, depth + 1)]),
      );
  }
}

/** As by `JSON.parse`, so that `__proto__` is a key like any other. */
function fromEntries(entries: readonly (readonly [string, Json])[]): Json {
  const object = {};
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return object;
}

function anything(random: Random): Json {
  switch (random.below(8)) {
    case 0:
      return null;
    case 1:
      return random.below(2) === 0;
    case 2:
      return numbers[random.below(numbers.length)]!;
    case 3:
      return [];
    case 4:
      return {};
    case 5:
      return { type: words[random.below(words.length)], request_id: "r" };
    default:
      return words[random.below(words.length)]!;
  }
}

function mutateText(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const to = at + random.below(8);
  switch (random.below(6)) {
    case 0:
      return text.slice(0, at) + text.slice(to);
    case 1:
      return text.slice(0, to) + text.slice(at);
    case 2:
      return text.slice(0, at) + texts[random.below(texts.length)]! + text.slice(at);
    case 3:
      return text.slice(0, at) + String.fromCharCode(random.below(0x10000)) + text.slice(at + 1);
    case 4: {
      const depth = random.below(3_000);
      return text.slice(0, at) + "[".repeat(depth) + "]".repeat(depth) + text.slice(at);
    }
    default:
      return text.slice(0, at) + '{}[]",:\\0'[random.below(9)]! + text.slice(at);
  }
}
