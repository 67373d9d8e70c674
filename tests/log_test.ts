import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createLog, describeThrown, type LogLevel, type LogOptions } from "../src/log.ts";

const levels = ["debug", "info", "warn", "error"] as const;

function written(
  options: Omit<LogOptions, "write">,
  use: (log: ReturnType<typeof createLog>) => void,
): string[] {
  const lines: string[] = [];
  use(createLog({ ...options, write: (line) => lines.push(line) }));
  return lines;
}

Deno.test("a log writes its level and those above, and nothing below", () => {
  const logged = (level: LogLevel) =>
    written({ level, format: "json" }, (log) => {
      for (const each of levels) log[each]("said");
    }).map((line) => JSON.parse(line).level);
  assertEquals(logged("debug"), ["debug", "info", "warn", "error"]);
  assertEquals(logged("info"), ["info", "warn", "error"]);
  assertEquals(logged("warn"), ["warn", "error"]);
  assertEquals(logged("error"), ["error"]);
});

Deno.test("a JSON line carries time, level, message and fields, and leaves out what is undefined", () => {
  const [line] = written(
    { level: "info", format: "json" },
    (log) => log.info("listening", { host: "::1", port: 80, draining: false, gone: undefined }),
  );
  const { ts, ...rest } = JSON.parse(line!);
  assertMatch(ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assertEquals(rest, {
    level: "info",
    message: "listening",
    host: "::1",
    port: 80,
    draining: false,
  });
});

Deno.test("a text line reads as time, level, message and fields", () => {
  const lines = written({ level: "info", format: "text" }, (log) => {
    log.warn("slow peer", { code: 4008, gone: undefined, why: 'says "no"' });
    log.error("failed");
  });
  assertMatch(lines[0]!, /^\d\d:\d\d:\d\d\.\d{3} warn {2}slow peer code=4008 why="says \\"no\\""$/);
  assertMatch(lines[1]!, /^\d\d:\d\d:\d\d\.\d{3} error failed$/);
});

for (const format of ["text", "json"] as const) {
  Deno.test(`no ${format} line holds a raw character that breaks, colours or reorders it`, () => {
    const hostile = [
      ...Array.from({ length: 0x20 }, (_, code) => code),
      ...Array.from({ length: 0x21 }, (_, index) => 0x7f + index),
      0x061c,
      ...Array.from({ length: 5 }, (_, index) => 0x200b + index),
      ...Array.from({ length: 7 }, (_, index) => 0x2028 + index),
      ...Array.from({ length: 16 }, (_, index) => 0x2060 + index),
      0xfeff,
      0xd800,
      0xdfff,
    ].map((code) => String.fromCharCode(code));
    for (const character of hostile) {
      const text = `before${character}after`;
      const [line] = written({ level: "info", format }, (log) => log.info("got", { text }));
      const code = character.charCodeAt(0).toString(16);
      assert(!line!.includes(character), `U+${code} stands raw in ${JSON.stringify(line)}`);
      const value = format === "json"
        ? JSON.parse(line!).text
        : JSON.parse(line!.slice(line!.indexOf("text=") + 5));
      assertEquals(value, text, `U+${code} can be read again`);
    }
  });
}

Deno.test("what people write stays readable in a line", () => {
  for (const format of ["text", "json"] as const) {
    const [line] = written(
      { level: "info", format },
      (log) => log.info("got", { text: "Grüße, 日本語, עברית 🎉" }),
    );
    assertStringIncludes(line!, "Grüße, 日本語, עברית 🎉");
  }
});

Deno.test("describeThrown() describes whatever is thrown, and does not throw itself", () => {
  const described = describeThrown(new TypeError("no such thing"));
  assertEquals(described.error, "no such thing");
  assertStringIncludes(String(described.stack), "log_test.ts");
  const others: [unknown, string][] = [
    ["text", "text"],
    [undefined, "undefined"],
    [null, "null"],
    [7, "7"],
    [Symbol("s"), "Symbol(s)"],
    [{ code: 1 }, "{ code: 1 }"],
    [Object.create(null), "[Object: null prototype] {}"],
  ];
  for (const [thrown, error] of others) assertEquals(describeThrown(thrown), { error });
});
