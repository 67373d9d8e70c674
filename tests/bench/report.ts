/** The results as tables of text. */

import type { Figure, Results, Section } from "./cells.ts";
import type { Contender } from "./contender.ts";
import { geometricMean, type Spread, spread } from "./statistics.ts";

/** The tables of a section, and aloud what is missing in them. */
export function reportSection(
  section: Section,
  contenders: readonly Contender[],
  results: Results,
): string {
  const bases = contenders.filter(({ name }) => section.bases.includes(name));
  const header = [
    "",
    ...section.figures.map(({ title }) => title),
    ...bases.map(({ title }) => `${section.figures[0]!.title}, × ${title}`),
  ];
  const parts = [`## ${section.title}`, "", section.note];
  for (const cell of section.cells) {
    const rows: string[][] = [];
    const remarks: string[] = [];
    for (const contender of contenders) {
      const outcomes = results.of(section.name, cell.title, contender.name);
      const figures = section.figures.map((figure) => ({
        figure,
        spread: spread(measured(results, section, cell.title, contender, figure)),
      }));
      if (figures[0]!.spread) {
        rows.push([
          contender.title,
          ...figures.map(({ figure, spread }) => spread ? figure.format(spread.median) : ""),
          ...bases.map((base) => formatRatio(ratio(results, section, cell.title, contender, base))),
        ]);
      }
      const reasons = outcomes.flatMap((outcome) =>
        "skipped" in outcome
          ? [`skipped: ${outcome.skipped}`]
          : "failed" in outcome
          ? [`failed: ${outcome.failed}`]
          : []
      );
      for (const reason of new Set(reasons)) remarks.push(`- ${contender.title}: ${reason}`);
    }
    parts.push("", `### ${cell.title}`, "");
    if (rows.length > 0) parts.push(table([header, ...rows]));
    if (rows.length > 0 && remarks.length > 0) parts.push("");
    parts.push(...remarks);
  }
  return [...parts, ...summary(section, contenders, bases, results)].join("\n") + "\n";
}

/** The first figure of a contender against a base's, round by round. */
export function ratio(
  results: Results,
  section: Section,
  cell: string,
  contender: Contender,
  base: Contender,
): Spread | undefined {
  const figure = section.figures[0]!;
  const own = results.values(section.name, cell, contender.name, figure);
  const others = results.values(section.name, cell, base.name, figure);
  return spread(own.flatMap((value, round) => {
    const other = others[round];
    return value === undefined || other === undefined ? [] : [value / other];
  }));
}

/** One line for each contender and base, over all cells, when there are several. */
function summary(
  section: Section,
  contenders: readonly Contender[],
  bases: readonly Contender[],
  results: Results,
): string[] {
  if (section.cells.length < 2) return [];
  const lines = contenders.flatMap((contender) =>
    bases.filter((base) => base !== contender).flatMap((base) => {
      const ratios = section.cells.map(({ title }) =>
        ratio(results, section, title, contender, base)?.median
      ).filter((median) => median !== undefined);
      if (ratios.length < section.cells.length) return [];
      const least = Math.min(...ratios).toFixed(2);
      return [
        `- ${contender.title}: ${geometricMean(ratios).toFixed(2)} × ${base.title}, least ${least}`,
      ];
    })
  );
  return lines.length > 0 ? ["", "Geometric mean over all cells:", "", ...lines] : [];
}

function measured(
  results: Results,
  section: Section,
  cell: string,
  contender: Contender,
  figure: Figure,
): number[] {
  return results.values(section.name, cell, contender.name, figure)
    .filter((value) => value !== undefined);
}

function formatRatio(ratio: Spread | undefined): string {
  if (!ratio) return "";
  const [median, min, max] = [ratio.median, ratio.min, ratio.max].map((value) => value.toFixed(2));
  return `${median} (${min}–${max})`;
}

/** Columns in line, the first one to the left and the others to the right; also valid Markdown. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]!.length))
  );
  const lines = rows.map((row) =>
    row.map((text, column) =>
      column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!)
    )
  );
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  const [header, ...body] = [lines[0]!, rule, ...lines.slice(1)];
  return [header!, ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
