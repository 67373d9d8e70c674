/** Rewrites the tables of README.md that come from the source: `deno task docs`. */

import { settingDescriptions } from "../src/config.ts";
import { closings, errorCodes } from "../src/errors.ts";

const tables: Readonly<Record<string, () => string>> = {
  "error codes": () =>
    table(
      ["Code", "HTTP", "Retry", "Meaning"],
      Object.entries(errorCodes).map(([code, { status, retry, meaning }]) => [
        `\`${code}\``,
        String(status),
        retry ? "yes" : "no",
        meaning,
      ]),
    ),
  "close codes": () =>
    table(
      ["Code", "Reason", "Meaning"],
      Object.values(closings).map(({ code, reason, meaning }) => [
        String(code),
        reason === "" ? "" : `\`${reason}\``,
        meaning,
      ]),
    ),
  "settings": () =>
    table(
      ["Variable", "Flag", "Default", "Meaning"],
      settingDescriptions.map((setting) => [
        `\`${setting.variable}\``,
        setting.flag === undefined ? "" : `\`${setting.flag}\``,
        setting.default === "" ? "" : `\`${setting.default}\``,
        setting.meaning,
      ]),
    ),
};

/** The text of a document, with every table as the source has it now. */
export function withTables(document: string): string {
  return Object.entries(tables).reduce((text, [name, write]) => {
    const [before, rest] = cut(text, `<!-- ${name}: written by "deno task docs" -->\n`);
    const [, after] = cut(rest, `<!-- end of ${name} -->`);
    return `${before}<!-- ${name}: written by "deno task docs" -->\n\n${write()}\n\n<!-- end of ${name} -->${after}`;
  }, document);
}

function cut(text: string, mark: string): [before: string, after: string] {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`Cannot write table: the document has no ${mark.trim()}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

/** Columns are as wide as their widest cell, as `deno fmt` wants them. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length))
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [head, rule, ...rows].map(line).join("\n");
}

if (import.meta.main) {
  const readme = await Deno.readTextFile("README.md");
  await Deno.writeTextFile("README.md", withTables(readme));
}
