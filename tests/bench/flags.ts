/** The command line of the benchmark. */

import { parseArgs } from "@std/cli/parse-args";

export interface Flags {
  readonly isShort: boolean;
  /** Names of contenders; all when `undefined`. */
  readonly only: readonly string[] | undefined;
  /** Names of sections; all when `undefined`. */
  readonly sections: readonly string[] | undefined;
  readonly rounds: number;
  readonly seconds: number;
  readonly chart: string | undefined;
  readonly json: string | undefined;
  readonly python: string;
}

/** The names that flags take. */
export interface Names {
  readonly contenders: readonly string[];
  readonly sections: readonly string[];
}

export function helpText({ contenders, sections }: Names): string {
  return `Measures tidings beside what a user would pick instead, on this machine's loopback.

Usage: deno task bench [flags]

  --short            two cells of the fan-out, acks and the lone message in less than a minute, for a first look
  --only NAMES       contenders, separated by commas (all)
  --sections NAMES   sections, separated by commas (all)
  --rounds N         how often each cell is measured, contenders taking turns (5; short: 3)
  --seconds S        how long each measurement takes, after as long to warm up, a second at least (1;
                     short: 0.4 after a third of it)
  --chart FILE       draws the fan-out as SVG
  --json FILE        writes all raw results
  --python PROGRAM   the Python that has fastapi, uvicorn and websockets (python3)
  --help, -h         print this

What a machine lacks is skipped and said. Needs Linux (/proc) and glibc; node and npm for the contenders from npm.

Contenders: ${contenders.join(", ")}
Sections: ${sections.join(", ")}`;
}

/** Throws an error whose message is for the user. */
export function readFlags(
  args: readonly string[],
  names: Names,
): Flags | "help" {
  const flags = parseArgs(args, {
    string: ["only", "sections", "rounds", "seconds", "chart", "json", "python"],
    boolean: ["short", "help"],
    alias: { h: "help" },
    unknown: (argument) => {
      throw new Error(`${JSON.stringify(argument)} is no flag; --help lists them`);
    },
  });
  if (flags.help) return "help";
  const text = (name: string) => flags[name] as string | undefined;
  const isShort = Boolean(flags.short);
  return {
    isShort,
    only: list("--only", text("only"), names.contenders),
    sections: list("--sections", text("sections"), names.sections),
    rounds: positive("--rounds", text("rounds"), isShort ? 3 : 5),
    seconds: positive("--seconds", text("seconds"), isShort ? 0.4 : 1),
    chart: text("chart"),
    json: text("json"),
    python: text("python") ?? "python3",
  };
}

function list(
  flag: string,
  text: string | undefined,
  known: readonly string[],
): readonly string[] | undefined {
  const names = text?.split(",");
  for (const name of names ?? []) {
    if (!known.includes(name)) {
      throw new Error(`${flag} must name some of ${known.join(", ")}, not ${JSON.stringify(name)}`);
    }
  }
  return names;
}

function positive(flag: string, text: string | undefined, preset: number): number {
  const value = text === undefined ? preset : Number(text);
  if (!(value > 0)) {
    throw new Error(`${flag} must be a number above 0, not ${JSON.stringify(text)}`);
  }
  return value;
}
