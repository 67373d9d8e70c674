/** What the documents say is what the source says. */

import { assertEquals } from "@std/assert";
import { root } from "./programs.ts";

Deno.test("every exported symbol of src says its contract", async () => {
  const folder = new URL("src/", root);
  const files = Array.from(Deno.readDirSync(folder), ({ name }) => name)
    .filter((name) => !name.endsWith(".d.ts"));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...files],
    cwd: folder,
    stderr: "inherit",
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as Documentation;

  assertEquals(Object.keys(nodes).length, files.length);
  const silent = Object.entries(nodes).flatMap(([file, { symbols }]) =>
    symbols
      .map(({ name, declarations }) => ({ name, exported: declarations.filter(isExported) }))
      .filter(({ exported }) => exported.length > 0 && !exported.some(({ jsDoc }) => jsDoc?.doc))
      .map(({ name }) => `${name} in ${file.slice(folder.href.length)}`)
  );
  assertEquals(silent, []);
});

/** What is used of `deno doc --json`. */
interface Documentation {
  readonly nodes: Record<string, {
    readonly symbols: readonly {
      readonly name: string;
      readonly declarations: readonly Declaration[];
    }[];
  }>;
}

interface Declaration {
  readonly declarationKind: string;
  readonly jsDoc?: { readonly doc?: string };
}

function isExported({ declarationKind }: Declaration): boolean {
  return declarationKind === "export";
}
