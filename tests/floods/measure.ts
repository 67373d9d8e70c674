/** Measures the healthy ones without and with a flood beside them, on one server. */

import { linesOf } from "../programs.ts";
import { ServerProcess } from "../server_process.ts";
import type { FloodJob, FloodResult } from "./flood.ts";
import { floods } from "./floods.ts";
import type { ProbeJob, ProbeResult } from "./probe.ts";
import type { NamedSettings } from "./settings.ts";

/** What came of one flood. */
export interface Outcome {
  readonly name: string;
  readonly quiet: ProbeResult;
  readonly flooded: ProbeResult;
  readonly flood: FloodResult;
  readonly grownBytes: number;
}

export interface MeasureOptions {
  readonly seconds: number;
  readonly messagesPerSecond: number;
  /** In place of the flood's own rate, when above 0. */
  readonly perSecond: number;
}

export async function measure(
  name: string,
  { settings }: NamedSettings,
  options: MeasureOptions,
): Promise<Outcome> {
  await using server = await ServerProcess.start(settings);
  const job = { ...options, port: server.port };
  const [quiet] = await probe(job, () => () => Promise.resolve(undefined));
  const before = await server.residentBytes();
  const perSecond = options.perSecond || (floods[name]!.perSecond ?? 0);
  const [flooded, [flood, grownBytes]] = await probe(job, () => {
    const end = startFlood({ name, port: server.port, perSecond });
    return async () => {
      const grownBytes = await server.residentBytes() - before;
      return [await end(), grownBytes] as const;
    };
  });
  return { name, quiet, flooded, flood, grownBytes };
}

/** `begin` is called when the healthy ones are connected, and what it answers when they have sent all they will. */
async function probe<T>(
  job: Omit<ProbeJob, "pid">,
  begin: () => () => Promise<T>,
): Promise<[ProbeResult, T]> {
  const process = run([], "probe.ts", { ...job, pid: 0 });
  const lines = linesOf(process.stdout);
  await lines.next();
  const end = begin();
  await lines.next();
  const beside = await end();
  const { value: result } = await lines.next();
  await lines.return(undefined);
  await process.stdin.close();
  await process.status;
  if (result === undefined) throw new Error("Cannot measure: the healthy ones were cut off");
  return [JSON.parse(result), beside];
}

/** The flood takes what time the others leave: it is to be felt through the server, not through the processor. */
function startFlood(job: FloodJob): () => Promise<FloodResult> {
  const process = run(["nice", "-n", "19"], "flood.ts", job);
  return async () => {
    await process.stdin.close();
    const lines = linesOf(process.stdout);
    const { value } = await lines.next();
    await lines.return(undefined);
    await process.status;
    if (value === undefined) throw new Error(`Cannot flood: "${job.name}" ended early`);
    return JSON.parse(value);
  };
}

function run(wrapper: readonly string[], file: string, job: unknown): Deno.ChildProcess {
  const program = new URL(file, import.meta.url).pathname;
  const own = [Deno.execPath(), "run", "--allow-all", program, JSON.stringify(job)];
  const [command, ...args] = [...wrapper, ...own];
  return new Deno.Command(command!, { args, stdin: "piped", stdout: "piped" }).spawn();
}
