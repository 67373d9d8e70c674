import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { compilePattern, GrantSet, matches } from "../src/grants.ts";
import { TopicName } from "../src/protocol.ts";
import { Random } from "./harness.ts";

function matched(pattern: string, topic: string, sub = "alice"): boolean {
  const compiled = compilePattern(pattern, sub);
  assert(typeof compiled !== "string", pattern);
  return matches(compiled, topic);
}

Deno.test("a pattern matches the topics that it stands for, and no others", () => {
  const cases: [pattern: string, topics: string[], others: string[]][] = [
    ["orders", ["orders"], ["order", "orders2", "Orders", "orders.x", "x.orders", "orders."]],
    ["orders.*", ["orders.eu", "orders.-"], ["orders", "orders.", "orders.eu.de", "orders/eu"]],
    ["*.eu", ["orders.eu"], [".eu", "eu", "a.b.eu", "orders.eu.", "orders.eux"]],
    ["*", ["a", "a-b_c"], ["a.b", "a/b", "a:b", "a."]],
    ["a.*.c", ["a.b.c"], ["a..c", "a.b.b.c", "a.b/c", "a.b.cc"]],
    ["a/*:*", ["a/b:c"], ["a/b/c", "a/b:", "a/b:c:d"]],
    ["orders.**", ["orders.eu", "orders.eu/de:x", "orders..x"], ["orders", "orders.", "ordersx"]],
    ["**", ["a", "a.b/c:d", "..a"], []],
    ["*.**", ["a.b", "a.b.c"], ["a", "a.", "a/b"]],
    ["{sub}", ["alice"], ["bob", "alice.x", "Alice"]],
    ["users/{sub}/**", ["users/alice/inbox"], ["users/alice", "users/bob/inbox", "users/alicex/y"]],
    ["a..b", ["a..b"], ["a.b", "a.x.b"]],
    ["__proto__.*", ["__proto__.constructor"], ["__proto__"]],
  ];
  for (const [pattern, topics, others] of cases) {
    for (const topic of topics) assert(matched(pattern, topic), `${pattern} and ${topic}`);
    for (const topic of others) assert(!matched(pattern, topic), `${pattern} and not ${topic}`);
  }
});

Deno.test("what is no pattern is refused", () => {
  const bad = [
    ...["", "a*", "*a", "a.b*", "***", "a.***", "**.a", "**/*", "a.**.b", "{sub}x", "x{sub}"],
    ...[
      "{SUB}",
      "{sub",
      "{}",
      "{name}",
      "a b",
      "a?",
      "[a]",
      "a//b",
      "/a",
      "a/",
      "a/../b",
      ".",
      "..",
    ],
    ...["a/./b", "é", "a\n", "a\0", "x".repeat(256), `${"x".repeat(254)}.*`, "a/*/"],
  ];
  for (const pattern of bad) {
    assertEquals(typeof compilePattern(pattern, "alice"), "string", JSON.stringify(pattern));
  }
});

Deno.test("{sub} is the sub as it is, and never a wildcard or several segments", () => {
  for (
    const sub of ["*", "**", "a.b", "a/b", "a:b", "", "a b", "é", "{sub}", "..", "x".repeat(256)]
  ) {
    assertEquals(typeof compilePattern("users.{sub}", sub), "string", sub);
    assert(typeof compilePattern("users.x", sub) !== "string", "where it is not used, it may be");
  }
});

/** What the contract says, as slowly as can be. */
function naive(pattern: string, topic: string): boolean {
  const split = (text: string) => text.split(/([./:])/);
  const walk = (wanted: string[], there: string[]): boolean => {
    const [first, ...rest] = wanted;
    if (first === undefined) return there.length === 0;
    if (first === "**") return there.join("") !== "";
    if (there.length === 0) return false;
    if (first === "*") return there[0] !== "" && walk(rest, there.slice(1));
    return there[0] === first && walk(rest, there.slice(1));
  };
  return walk(split(pattern), split(topic));
}

Deno.test("matching agrees with a naive model, whatever the pattern and the topic", () => {
  const { seed } = new Random();
  const separator = fc.constantFrom(".", "/", ":");
  const segment = fc.constantFrom("a", "b", "ab", "", "alice");
  const joined = (segments: fc.Arbitrary<string>) =>
    fc.array(fc.tuple(segments, separator), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.map(([text, mark]) => text + mark).join("").slice(0, -1));
  const topics = joined(segment);
  const patterns = joined(fc.oneof(segment, fc.constantFrom("*", "*", "**")));
  let compared = 0;
  let matching = 0;
  fc.assert(
    fc.property(patterns, topics, (pattern, topic) => {
      const compiled = compilePattern(pattern, "alice");
      const isPattern = TopicName.safeParse(pattern.replace(/\*\*?/g, "x")).success &&
        !/\*\*./.test(pattern);
      assertEquals(typeof compiled !== "string", isPattern, pattern);
      if (typeof compiled === "string") return;
      compared++;
      if (naive(pattern, topic)) matching++;
      assertEquals(matches(compiled, topic), naive(pattern, topic), `${pattern} and ${topic}`);
    }),
    { numRuns: 20_000, seed },
  );
  assert(compared > 5_000 && matching > 500, `${matching} of ${compared} matched, seed ${seed}`);
});

Deno.test("a malformed grant refuses the token, and is named", () => {
  const grant = { match: "a", allow: ["publish"] };
  const cases: [claim: unknown, says: string][] = [
    ...[null, "a", 5, true, {}, grant].map((claim): [unknown, string] => [
      claim,
      '"topics" must be an array',
    ]),
    [[null], '"topics.0" must be an object with match and allow'],
    [[grant, "orders"], '"topics.1" must be an object with match and allow'],
    [[grant, []], '"topics.1" must be an object with match and allow'],
    [[{ allow: ["publish"] }], '"topics.0.match" must be a string'],
    [[{ match: ["a"], allow: ["publish"] }], '"topics.0.match" must be a string'],
    [[{ match: "a" }], '"topics.0.allow" must be an array'],
    [[{ match: "a", allow: "publish" }], '"topics.0.allow" must be an array'],
    [[{ match: "a", allow: [] }], '"topics.0.allow" must name at least one action'],
    [
      [{ match: "a", allow: ["publish", "Subscribe"] }],
      '"topics.0.allow.1" must be subscribe, publish, history, presence',
    ],
    [
      [{ match: "a", allow: ["__proto__"] }],
      '"topics.0.allow.0" must be subscribe, publish, history, presence',
    ],
    [[{ ...grant, alow: ["history"] }], '"topics.0" must have no fields but match and allow'],
    [[grant, { ...grant, match: "**.a" }], '"topics.1.match" must have "**" at its end only'],
    [[{ ...grant, match: "a*" }], '"topics.0.match" must have "*" and "**" as whole segments only'],
    [
      [{ ...grant, match: "" }],
      '"topics.0.match" must be a topic, with * ** or {sub} as segments',
    ],
  ];
  for (const [claim, says] of cases) assertEquals(GrantSet.read(claim, "alice"), says);
});

Deno.test("what one of the grants allows is allowed, and nothing else", () => {
  const grants = GrantSet.read([
    { match: "a.*", allow: ["publish"] },
    { match: "a.b", allow: ["history", "presence"] },
    { match: "{sub}.**", allow: ["subscribe"] },
  ], "alice");
  assert(typeof grants !== "string");
  const allowed = (topic: string) =>
    (["subscribe", "publish", "history", "presence"] as const)
      .filter((action) => grants.find(action, topic));
  assertEquals(allowed("a.b"), ["publish", "history", "presence"]);
  assertEquals(allowed("a.c"), ["publish"]);
  assertEquals(allowed("alice.x.y"), ["subscribe"]);
  assertEquals(allowed("bob.x"), []);
  assertEquals(grants.on("a.b").map(({ match }) => match), ["a.*", "a.b"]);
});

Deno.test("a token without grants allows nothing", () => {
  for (const claim of [undefined, []]) {
    const grants = GrantSet.read(claim, "alice");
    assert(typeof grants !== "string");
    assertEquals(grants.find("subscribe", "a"), undefined);
  }
});
