/** `deno task bench`: tidings beside what a user would pick instead. */

import { Results, type Section } from "./cells.ts";
import { type Chart, drawChart } from "./chart.ts";
import { type Contender, Missing } from "./contender.ts";
import { contenders } from "./contenders.ts";
import { type Flags, helpText, readFlags } from "./flags.ts";
import { describeMachine, openFileLimit } from "./machine.ts";
import { endAll } from "./processes.ts";
import { reportSection } from "./report.ts";
import { type Entrant, runSection } from "./run.ts";
import { sections, shortPlan } from "./sections.ts";
import { spread } from "./statistics.ts";
import { Toolbox } from "./toolbox.ts";

/** What a server and a driver have open besides the connections that are measured. */
const spareFiles = 200;

async function bench(flags: Flags): Promise<void> {
  const { rounds, seconds } = flags;
  const results = new Results();
  const timing = { seconds, warmSeconds: seconds / 3 };
  const all = sections(timing, results);
  const chosen = (flags.isShort ? shortPlan(all) : all)
    .filter(({ name }) => flags.sections?.includes(name) ?? true);
  const machine = describeMachine();
  const date = new Date().toISOString().slice(0, 10);
  const command = ["deno task bench", ...Deno.args].join(" ");
  console.log(`# ${command}\n\n${date} · ${machine}\nMedian of ${rounds} rounds (least–most).\n`);

  await using tools = new Toolbox({ python: flags.python });
  const entrants = await prepare(chosen, flags.only, tools);
  for (const section of chosen) {
    const limit = openFileLimit();
    if (section.connections + spareFiles > limit) {
      console.log(`## ${section.title}\n\nskipped: ${limit} open files are allowed (ulimit -n)\n`);
      continue;
    }
    const taking = entrants.filter(({ contender }) => section.contenders.includes(contender.name));
    await runSection(section, taking, { rounds, results, say });
    console.log(reportSection(section, taking.map(({ contender }) => contender), results));
  }

  if (flags.json) {
    const document = { command, date, machine, rounds, ...timing, results };
    await Deno.writeTextFile(flags.json, JSON.stringify(document, undefined, 2) + "\n");
  }
  const fanOut = chosen.find(({ name }) => name === "fan-out");
  if (flags.chart && fanOut) {
    const footer = `${date} · ${machine} · ${command}`;
    await Deno.writeTextFile(flags.chart, drawChart(chartOf(fanOut, results, footer)));
  }
}

/** Makes ready all contenders that the sections name, and says which cannot take part. */
async function prepare(
  chosen: readonly Section[],
  only: readonly string[] | undefined,
  tools: Toolbox,
): Promise<Entrant[]> {
  const entrants: Entrant[] = [];
  for (const contender of contenders) {
    const takesPart = chosen.some((section) => section.contenders.includes(contender.name));
    if (!takesPart || !(only?.includes(contender.name) ?? true)) continue;
    try {
      say(`preparing ${contender.title}`);
      entrants.push({ contender, launch: await contender.prepare(tools) });
    } catch (thrown) {
      if (!(thrown instanceof Missing)) throw thrown;
      console.log(`${contender.title}: skipped: ${thrown.message}\n`);
    }
  }
  return entrants;
}

function chartOf(section: Section, results: Results, footer: string): Chart {
  const figure = section.figures[0]!;
  const bar = ({ name, title }: Contender, cell: string) => {
    const values = results.values(section.name, cell, name, figure);
    const measured = spread(values.filter((value) => value !== undefined));
    return measured ? [{ label: title, value: measured.median, name }] : [];
  };
  return {
    title: "Deliveries for each second of server CPU",
    subtitle: "One topic, 64-byte payloads; longer is better",
    groups: section.cells.map(({ title }) => ({
      title,
      bars: contenders.flatMap((contender) => bar(contender, title)).map((
        { label, value, name },
      ) => ({ label, value, text: figure.format(value), isOwn: name.startsWith("tidings") })),
    })),
    footer,
  };
}

/** What goes on is not part of the report. */
function say(line: string): void {
  console.error(line);
}

function fail(thrown: unknown): never {
  endAll();
  console.error(`bench: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  Deno.exit(1);
}

const names = {
  contenders: contenders.map(({ name }) => name),
  sections: sections({ seconds: 0, warmSeconds: 0 }, new Results()).map(({ name }) => name),
};
try {
  const flags = readFlags(Deno.args, names);
  if (flags === "help") {
    console.log(helpText(names));
  } else {
    Deno.addSignalListener("SIGINT", () => fail("interrupted"));
    Deno.addSignalListener("SIGTERM", () => fail("interrupted"));
    await bench(flags);
  }
} catch (thrown) {
  fail(thrown);
}
