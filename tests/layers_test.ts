/** The house that the files of `src` stand in: which may know of which. */

import { assertEquals } from "@std/assert";

/** From the ground up. A file imports from floors below its own; on its own floor only types. */
const tower = [
  [
    "address",
    "errors",
    "json_text",
    "limits",
    "log",
    "origins",
    "ring",
    "token_bucket",
    "token_keys",
    "turn",
  ],
  ["pace", "protocol"],
  ["config", "engine", "grants", "handshake"],
  ["admission", "history", "idempotency", "identity"],
  ["credentials", "engine_memory", "feed", "subscription", "tickets", "tokens"],
  ["access", "broker", "inbox", "outbox"],
  ["http", "session", "session_access", "turn_connection"],
  ["auth_routes", "messages", "websocket"],
  ["app"],
  ["server", "token_command"],
  ["main"],
];

/** Who may touch what: everybody else is free of it. */
const owners: Record<string, string[]> = {
  "Deno.args, Deno.env, Deno.exit": ["main"],
  "Deno": ["log", "main", "server", "websocket"],
  "hono": ["app", "auth_routes", "http", "messages"],
  "ipaddr.js": ["address"],
  "jose": ["token_command", "tokens"],
  "@std/assert": [],
};

interface Import {
  readonly from: string;
  readonly onlyTypes: boolean;
}

interface SourceFile {
  readonly name: string;
  /** Without comments. */
  readonly code: string;
  readonly imports: readonly Import[];
}

const folder = new URL("../src/", import.meta.url);
const files: readonly SourceFile[] = Array.from(Deno.readDirSync(folder))
  .filter(({ name }) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
  .map(({ name }) => {
    const text = Deno.readTextFileSync(new URL(name, folder));
    const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
    return { name: name.slice(0, -3), code, imports: importsOf(code) };
  });

Deno.test("every file of src has its floor", () => {
  assertEquals(files.map(({ name }) => name).sort(), tower.flat().sort());
});

Deno.test("imports point down; on the same floor they are of types", () => {
  const wrong = files.flatMap(({ name, imports }) =>
    imports
      .map(({ from, onlyTypes }) => ({ target: /^\.\/(.+)\.ts$/.exec(from)?.[1], onlyTypes }))
      .filter(({ target, onlyTypes }) => {
        if (target === undefined) return false;
        return onlyTypes ? floorOf(target) > floorOf(name) : floorOf(target) >= floorOf(name);
      })
      .map(({ target }) => `${name} imports from ${target}`)
  );
  assertEquals(wrong, []);
});

Deno.test("the command line, the network and HTTP are known only where they belong", () => {
  const wrong = Object.entries(owners).flatMap(([things, allowed]) =>
    files
      .filter(({ name }) => !allowed.includes(name))
      .filter((file) => things.split(", ").some((thing) => touches(file, thing)))
      .map(({ name }) => `${name} touches ${things}`)
  );
  assertEquals(wrong, []);
});

/** Also what is exported from elsewhere, and what is imported when it runs. */
function importsOf(code: string): Import[] {
  const statements = code.matchAll(
    /^(?:import|export)\s+(type\s+)?(?:([^;"]*?)\s+from\s+)?"([^"]+)"|\bimport\("([^"]+)"\)/gm,
  );
  return Array.from(statements, ([, type, names, from, whenRun]) => ({
    from: from ?? whenRun!,
    onlyTypes: type !== undefined || eachIsType(names ?? ""),
  }));
}

function eachIsType(names: string): boolean {
  const list = /^\{([\s\S]*)\}$/.exec(names)?.[1]?.split(",").filter((name) => name.trim() !== "");
  return list !== undefined && list.every((name) => name.trim().startsWith("type "));
}

function floorOf(name: string): number {
  return tower.findIndex((floor) => floor.includes(name));
}

function touches({ code, imports }: SourceFile, thing: string): boolean {
  if (thing.startsWith("Deno")) return new RegExp(`\\b${RegExp.escape(thing)}\\b`).test(code);
  return imports.some(({ from }) => from === thing || from.startsWith(`${thing}/`));
}
