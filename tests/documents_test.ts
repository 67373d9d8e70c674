/** What the documents say is what the source says. */

import { assertEquals } from "@std/assert";
import project from "../deno.json" with { type: "json" };
import { withTables } from "../tests/readme_tables.ts";
import { root } from "./programs.ts";

const readme = Deno.readTextFileSync(new URL("README.md", root));

Deno.test("the README's tables are what the source says, or `deno task docs` makes them so", () => {
  assertEquals(readme, withTables(readme));
});

Deno.test("every link of the README to a file or a heading leads somewhere", () => {
  const headings = Array.from(readme.matchAll(/^#+ (.+)$/gm), ([, title]) => anchorOf(title!));
  const lost = Array.from(readme.matchAll(/\]\(([^)]+)\)/g), ([, target]) => target!)
    .filter((target) => !/^https?:/.test(target))
    .filter((target) =>
      target.startsWith("#") ? !headings.includes(target.slice(1)) : !exists(target)
    );
  assertEquals(lost, []);
});

Deno.test("every task that the README names is there", () => {
  const named = Array.from(readme.matchAll(/\btask (\w+)/g), ([, task]) => task!);
  assertEquals(named.filter((task) => !Object.hasOwn(project.tasks, task)), []);
});

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

/** What a heading is called in a link. */
function anchorOf(title: string): string {
  return title.toLowerCase().replace(/[^\w\s-]/g, "").replaceAll(" ", "-");
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, root)).isFile;
  } catch {
    return false;
  }
}
