/** With which settings of the server floods are measured. */

import type { Config } from "../../src/config.ts";
import { tidings } from "../programs.ts";
import { benchTopic } from "../bench/wire.ts";
import { floodTopic } from "./floods.ts";

/** Limits against floods, where the server knows them: above what the healthy ones need, below what floods do. */
const limits: Readonly<Record<string, number>> = {
  maxRequestsPerSecond: 1_000,
  maxConnectsPerSecondPerAddress: 100,
  maxConnectionsPerAddress: 1_000,
};

export interface NamedSettings {
  readonly name: string;
  readonly settings: Partial<Config>;
}

/** As a server is without limits, and with those that its `--help` lists. */
export async function settingsToMeasure(): Promise<readonly NamedSettings[]> {
  const { stdout } = await tidings(["--help"], { stdout: "piped" }).output();
  const help = new TextDecoder().decode(stdout);
  const known = Object.entries(limits).filter(([name]) => help.includes(flagOf(name)));
  const plain = { topics: [benchTopic, floodTopic] };
  if (known.length === 0) {
    return [{ name: "defaults; this server has no limits yet", settings: plain }];
  }
  return [
    { name: "defaults", settings: plain },
    {
      name: known.map(([name, value]) => `${flagOf(name)} ${value}`).join(" "),
      settings: { ...plain, ...Object.fromEntries(known) },
    },
  ];
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
