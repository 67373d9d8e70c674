/** What the server may do on the machine that it runs on: listen, connect, and read its own settings. */

import { assertEquals } from "@std/assert";
import { settingDescriptions } from "../src/config.ts";
import { permissionFlags } from "./programs.ts";

Deno.test("start, dev and compile give the same permissions: the network and the settings", () => {
  const variables = settingDescriptions.map(({ variable }) => variable).join(",");
  const flags = ["--no-prompt", "--allow-net", `--allow-env=${variables}`];

  assertEquals(permissionFlags("start"), flags);
  assertEquals(permissionFlags("dev"), flags);
  assertEquals(permissionFlags("compile"), flags);
});

const attempts = {
  "reads a file": 'await Deno.readTextFile("deno.json")',
  "reads a file as node does": 'await (await import("node:fs/promises")).readFile("deno.json")',
  "lists a folder": 'await Array.fromAsync(Deno.readDir("."))',
  "writes a file": 'await Deno.writeTextFile("written-by-test", "")',
  "makes a temporary file": "await Deno.makeTempFile()",
  "runs a program": 'await new Deno.Command("true").output()',
  "loads a library": 'Deno.dlopen("libc.so.6", {})',
  "asks for the machine's name": "Deno.hostname()",
  "reads another variable": 'Deno.env.get("PATH")',
  "reads all variables": "Deno.env.toObject()",
  "sets another variable": 'Deno.env.set("PATH", "")',
};

Deno.test("a program with these permissions is refused files, programs and foreign variables", async () => {
  const program = `
    const outcomes = {};
    Deno.env.get("PORT");
    ${
    Object.entries(attempts).map(([what, code]) => `
      try {
        ${code};
        outcomes[${JSON.stringify(what)}] = "allowed";
      } catch (thrown) {
        outcomes[${JSON.stringify(what)}] = thrown.name;
      }`).join("")
  }
    console.log(JSON.stringify(outcomes));`;

  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      ...permissionFlags("start"),
      `data:text/javascript,${encodeURIComponent(program)}`,
    ],
    stderr: "inherit",
  }).output();

  const outcomes = JSON.parse(new TextDecoder().decode(stdout));
  const refused = Object.keys(attempts).map((what) => [what, "NotCapable"]);
  assertEquals(outcomes, Object.fromEntries(refused));
});
