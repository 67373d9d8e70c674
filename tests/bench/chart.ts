/** The fan-out as a chart: SVG by hand, readable on a light and on a dark page. */

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  readonly groups: readonly ChartGroup[];
  readonly footer: readonly string[];
}

export interface ChartGroup {
  readonly title: string;
  readonly bars: readonly ChartBar[];
}

export interface ChartBar {
  readonly label: string;
  readonly value: number;
  /** The value as it is to be read. */
  readonly text: string;
  readonly isOwn: boolean;
}

const width = 820;
const margin = 24;
const labelWidth = 220;
const valueWidth = 70;
const barHeight = 14;
const barGap = 6;
const groupHead = 34;
const chartHead = 66;
const chartFoot = 58;
const lineHeight = 20;

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .group { font-weight: 600 }
  .quiet { fill: #59636e }
  .bar { fill: #afb8c1 }
  .own { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .bar { fill: #59636e }
    .own { fill: #4493f8 }
  }
`;

export function drawChart({ title, subtitle, groups, footer }: Chart): string {
  const longest = width - 2 * margin - labelWidth - valueWidth;
  const parts: string[] = [
    text(margin, 32, title, "title"),
    text(margin, 52, subtitle, "quiet"),
  ];
  let y = chartHead;
  for (const group of groups) {
    const most = Math.max(...group.bars.map(({ value }) => value));
    parts.push(text(margin, y + 22, group.title, "group"));
    y += groupHead;
    for (const bar of group.bars) {
      const length = Math.max(1, bar.value / most * longest);
      const x = margin + labelWidth;
      const kind = bar.isOwn ? "bar own" : "bar";
      parts.push(
        text(margin, y + barHeight - 3, bar.label),
        `<rect class="${kind}" x="${x}" y="${y}" width="${
          length.toFixed(1)
        }" height="${barHeight}" rx="2"/>`,
        text(x + length + 8, y + barHeight - 3, bar.text, "quiet"),
      );
      y += barHeight + barGap;
    }
  }
  const height = y + chartFoot;
  for (const [line, content] of footer.entries()) {
    parts.push(
      text(margin, height - 16 - (footer.length - 1 - line) * lineHeight, content, "quiet"),
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${
    escape(title)
  }">
<style>${style}</style>
${parts.join("\n")}
</svg>
`;
}

function text(x: number, y: number, content: string, kind?: string): string {
  const attribute = kind ? ` class="${kind}"` : "";
  return `<text${attribute} x="${x.toFixed(1)}" y="${y}">${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
