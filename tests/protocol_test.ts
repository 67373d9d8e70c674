import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { depthOf, elementTexts, type JsonText, memberText } from "../src/json_text.ts";
import { decodeCommand as decode, encode, encodeEvent, timestamp } from "../src/protocol.ts";
import { Random } from "./harness.ts";

const id = "a1b2c3d4-e5f6-7890-1234-567890abcdef";

const maxPayloadDepth = 128;

const decodeCommand = (text: string) => decode(text, maxPayloadDepth);

Deno.test("decodeCommand() reads each command, and leaves out what it does not know", () => {
  const commands = [
    { type: "subscribe", topic: "t", client_id: "c" },
    { type: "subscribe", topic: "a/b", client_id: "c", last_n: 5, request_id: "r" },
    { type: "unsubscribe", topic: "t", client_id: "c", request_id: "" },
    { type: "ping" },
    { type: "ping", request_id: "r" },
  ];
  for (const command of commands) {
    assertEquals(decodeCommand(JSON.stringify({ ...command, color: "red" })), command as never);
  }
});

Deno.test("decodeCommand() keeps a payload character for character, on one line", () => {
  const cases = [
    ["null", "null"],
    ["12345678901234567890", "12345678901234567890"],
    ["[1e400,-0,1.10]", "[1e400,-0,1.10]"],
    [' {"a" :1} ', '{"a" :1}'],
    ['{\r\n"a":\n1}', '{ "a": 1}'],
    ['"\\n\\u0041\\ud800"', '"\\n\\u0041\\ud800"'],
    ['1,"payload":2', "2"],
    ['1,"p\\u0061yload":3', "3"],
    ['{"payload":1}', '{"payload":1}'],
  ];
  for (const [sent, kept] of cases) {
    const text = `{"message":{"id":"${id}","payload":${sent}},"type":"publish","topic":"t"}`;
    const command = decodeCommand(text);
    assert(command.type === "publish", text);
    assertEquals(command.message, { id, payload: kept as JsonText });
  }
});

Deno.test("decodeCommand() takes the last of two messages, as JSON.parse does", () => {
  const first = `"message":{"id":"${id}","payload":1}`;
  const second = `"m\\u0065ssage":{"payload":2,"id":"${id.toUpperCase()}"}`;
  const command = decodeCommand(`{"type":"publish","topic":"t",${first},${second}}`);
  assert(command.type === "publish");
  assertEquals(command.message, { id: id.toUpperCase(), payload: "2" as JsonText });
});

Deno.test("decodeCommand() takes payloads up to the deepest nesting allowed, and none beyond", () => {
  const nested = (depth: number) =>
    decodeCommand(
      `{"type":"publish","topic":"t","message":{"id":"${id}","payload":${"[".repeat(depth)}${
        "]".repeat(depth)
      }}}`,
    );
  assertEquals(nested(maxPayloadDepth).type, "publish");
  const refused = nested(maxPayloadDepth + 1);
  assert(refused.type === "refusal");
  assertStringIncludes(refused.error.message, '"message.payload"');
});

Deno.test("decodeCommand() answers with request_id and topic where they can be read", () => {
  const cases: [string, { request_id: string | undefined; topic: string | undefined }][] = [
    ["{", { request_id: undefined, topic: undefined }],
    ["null", { request_id: undefined, topic: undefined }],
    ['"text"', { request_id: undefined, topic: undefined }],
    ['{"type":"fly","request_id":"r","topic":"t"}', { request_id: "r", topic: "t" }],
    ['{"type":"subscribe","request_id":7,"topic":[]}', { request_id: undefined, topic: undefined }],
    ['{"__proto__":{"request_id":"r"}}', { request_id: undefined, topic: undefined }],
  ];
  for (const [text, expected] of cases) {
    const refused = decodeCommand(text);
    assert(refused.type === "refusal", text);
    const { request_id, topic, error } = refused;
    assertEquals({ request_id, topic }, expected, text);
    assertEquals(error.code, "BAD_REQUEST");
  }
});

Deno.test("encodeEvent() writes the contract's event", () => {
  const payload = '{"n":12345678901234567890}' as JsonText;
  const ts = "2026-01-02T03:04:05.678Z";
  const text = encodeEvent("a/b", { id, payload }, 7, ts);
  assertEquals(JSON.parse(text), {
    type: "event",
    topic: "a/b",
    message: { id, payload: { n: JSON.parse("12345678901234567890") } },
    offset: 7,
    ts,
  });
  assertStringIncludes(text, `"payload":${payload}}`);
});

Deno.test("encode() leaves out what is not there", () => {
  assertEquals(
    encode({ type: "pong", request_id: undefined, ts: "T" }),
    '{"type":"pong","ts":"T"}',
  );
});

Deno.test("timestamp() is the time now, in UTC to the millisecond", () => {
  const before = Date.now();
  const ts = timestamp();
  assertMatch(ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert(before <= Date.parse(ts) && Date.parse(ts) <= Date.now(), ts);
});

/** A JSON text, with what the functions under test must find in it. */
interface Generated {
  readonly text: string;
  readonly depth: number;
  readonly members?: ReadonlyMap<string, string>;
  readonly elements?: readonly string[];
}

const scalars = ["null", "true", "0", "-0.0", "1e400", "12345678901234567890", "-1.5E+3"];
const strings = [
  '""',
  '"a"',
  '"\\""',
  '"\\\\"',
  '"\\\\\\""',
  '"{[,:]}"',
  '"\\u0022"',
  '"\\\\\\\\"',
  '"\\ud800"',
  '"\u2028é"',
];
const plainKeys = ["a", "id", "payload", "__proto__", "constructor", "", "{[,:]}"];
const oddKeys = ['"', '""', "\\", "\\\\", "\n", "é"];
const allKeys = [...plainKeys, ...oddKeys];

function space(random: Random): string {
  return ["", "", "", " ", "\n", "\r\n", "\t", " \n "][random.below(8)]!;
}

/** A key as JSON, with any of its characters escaped. */
function escapeKey(random: Random, key: string): string {
  const characters = Array.from(
    key,
    (character) =>
      random.below(4) === 0
        ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
        : JSON.stringify(character).slice(1, -1),
  );
  return `"${characters.join("")}"`;
}

function generate(random: Random, levels: number, keys: "plain" | "odd"): Generated {
  const pad = () => space(random);
  const kind = random.below(levels > 0 ? 4 : 2);
  if (kind === 0) return { text: scalars[random.below(scalars.length)]!, depth: 0 };
  if (kind === 1) return { text: strings[random.below(strings.length)]!, depth: 0 };
  const children = Array.from(
    { length: random.below(5) },
    () => generate(random, levels - 1, keys),
  );
  const depth = 1 + Math.max(0, ...children.map((child) => child.depth));
  if (kind === 2) {
    const text = children.map((child) => pad() + child.text + pad()).join(",") || pad();
    return { text: `[${text}]`, depth, elements: children.map((child) => child.text) };
  }
  const members = new Map<string, string>();
  const text = children.map((child) => {
    const names = keys === "plain" ? plainKeys : allKeys;
    const key = names[random.below(names.length)]!;
    members.set(key, child.text);
    const written = keys === "plain" ? `"${key}"` : escapeKey(random, key);
    return `${pad()}${written}${pad()}:${pad()}${child.text}${pad()}`;
  }).join(",") || pad();
  return { text: `{${text}}`, depth, members };
}

function onOneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ");
}

Deno.test("memberText(), elementTexts() and depthOf() find each value as it was written", () => {
  const random = new Random();
  for (let round = 0; round < 4_000; round++) {
    const { text: bare, depth, members, elements } = generate(random, 5, "odd");
    const text = space(random) + bare + space(random);
    const where = `SEED=${random.seed}: ${text}`;
    assertEquals(depthOf(text), depth, where);
    for (const key of members ? allKeys : []) {
      const written = members!.get(key);
      assertEquals(
        memberText(text, key) as string | undefined,
        written && onOneLine(written),
        where,
      );
    }
    if (elements) assertEquals(elementTexts(text) as string[], elements.map(onOneLine), where);
  }
});

/** Keys without escapes: V8 may mistake one that has some for a key seen before (nodejs/node#63785). */
Deno.test("memberText() and elementTexts() find the values that JSON.parse finds", () => {
  const random = new Random();
  let objects = 0;
  let arrays = 0;
  for (let round = 0; round < 4_000; round++) {
    const { text: bare, members, elements } = generate(random, 5, "plain");
    const text = space(random) + bare + space(random);
    const where = `SEED=${random.seed}: ${text}`;
    const parsed = JSON.parse(text);
    if (members) {
      objects++;
      for (const key of plainKeys) {
        const found = memberText(text, key);
        const value = Object.hasOwn(parsed, key) ? parsed[key] : undefined;
        assertEquals(found && JSON.parse(found), value, where);
      }
    }
    if (elements) {
      arrays++;
      assertEquals(elementTexts(text).map((element) => JSON.parse(element)), parsed, where);
    }
  }
  assert(objects > 500 && arrays > 500, "the generator makes what is to be tested");
});
