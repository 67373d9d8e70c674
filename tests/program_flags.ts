/** The command line of the programs that run for long: flags with a number each, and `--help`. */

import { parseArgs } from "@std/cli/parse-args";

/** One flag that takes a number. */
export interface NumberFlag {
  readonly preset: number;
  readonly meaning: string;
}

/** What a program is and what it takes. */
export interface ProgramHelp<Name extends string> {
  readonly task: string;
  /** What it does, in a few lines. */
  readonly about: string;
  readonly flags: Readonly<Record<Name, NumberFlag>>;
}

/**
 * Reads the command line. Prints the help and ends with 0, or what is wrong with it and ends with 2, where there is
 * nothing to run.
 */
export function readNumbers<Name extends string>(help: ProgramHelp<Name>): Record<Name, number> {
  const names = Object.keys(help.flags) as Name[];
  const given = parseArgs(Deno.args.filter((argument) => argument !== "--"), {
    string: names,
    boolean: ["help"],
    alias: { h: "help" },
    unknown: (argument) =>
      refuse(help.task, `${JSON.stringify(argument)} is no flag; --help lists them`),
  });
  if (given.help) {
    console.log(helpText(help));
    Deno.exit(0);
  }
  const numbers = names.map((name) => {
    const text = given[name] as string | undefined;
    const value = text === undefined ? help.flags[name].preset : Number(text);
    if (text !== undefined && (!(value >= 0) || text === "")) {
      refuse(help.task, `--${name} must be a number, 0 or more, not ${JSON.stringify(text)}`);
    }
    return [name, value];
  });
  return Object.fromEntries(numbers);
}

function helpText<Name extends string>({ task, about, flags }: ProgramHelp<Name>): string {
  const lines = Object.entries<NumberFlag>(flags).map(([name, { preset, meaning }]) =>
    `  ${`--${name} N`.padEnd(18)}${meaning}${Number.isNaN(preset) ? "" : ` (${preset})`}`
  );
  return `${about}

Usage: deno task ${task} [flags]

${lines.join("\n")}
  ${"--help, -h".padEnd(18)}print this`;
}

function refuse(task: string, fault: string): never {
  console.error(`${task}: ${fault}`);
  Deno.exit(2);
}

/** A seed nobody has chosen. */
export function anySeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}
