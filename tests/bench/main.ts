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

async function bench(flags: Flags, tools: Toolbox): Promise<void> {
  const { rounds, seconds, isShort } = flags;
  const results = new Results();
  const timing = { seconds, warmSeconds: isShort ? seconds / 3 : Math.max(1, seconds) };
  const all = sections(timing, results);
  const chosen = (isShort ? shortPlan(all) : all)
    .filter(({ name }) => flags.sections?.includes(name) ?? true);
  const machine = describeMachine();
  const date = new Date().toISOString().slice(0, 10);
  const command = repeatableCommand(Deno.args);
  console.log(`# ${command}\n\n${date} · ${machine}\nMedian of ${rounds} rounds (least–most).\n`);

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
    const footer = [`${date} · ${machine}`, command];
    await Deno.writeTextFile(flags.chart, drawChart(chartOf(fanOut, results, footer)));
  }
}

/** What repeats a measurement: files and programs of this machine are no part of it. */
function repeatableCommand(args: readonly string[]): string {
  const isOwn = /^--(?:chart|json|python)(=|$)/;
  const kept = args.filter((arg, index) => {
    const previous = isOwn.exec(args[index - 1] ?? "");
    return !isOwn.test(arg) && previous?.[1] !== "";
  });
  return ["deno task bench", ...kept].join(" ");
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

function chartOf(section: Section, results: Results, footer: readonly string[]): Chart {
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

const names = {
  contenders: contenders.map(({ name }) => name),
  sections: sections({ seconds: 0, warmSeconds: 0 }, new Results()).map(({ name }) => name),
};

/** Leaves no process and no file behind, whatever ends the benchmark. */
async function run(flags: Flags): Promise<void> {
  using tools = new Toolbox({ python: flags.python });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      endAll();
      tools[Symbol.dispose]();
      Deno.exit(1);
    });
  }
  try {
    await bench(flags, tools);
  } finally {
    endAll();
  }
}

try {
  const flags = readFlags(Deno.args, names);
  if (flags === "help") console.log(helpText(names));
  else await run(flags);
} catch (thrown) {
  console.error(`bench: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  Deno.exit(1);
}
// The listeners of the signals would keep the process alive.
Deno.exit(0);
