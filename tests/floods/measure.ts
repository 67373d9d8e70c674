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
  const quiet = await probe(job, () => Promise.resolve());
  const before = await server.residentBytes();
  const perSecond = options.perSecond || (floods[name]!.perSecond ?? 0);
  let ending: (() => Promise<FloodResult>) | undefined;
  const flooded = await probe(job, () => {
    ending = startFlood({ name, port: server.port, perSecond });
    return Promise.resolve();
  });
  const grownBytes = await server.residentBytes() - before;
  const flood = await ending!();
  return { name, quiet, flooded, flood, grownBytes };
}

/** `onReady` is called when the healthy ones are connected. */
async function probe(
  job: Omit<ProbeJob, "pid">,
  onReady: () => Promise<void>,
): Promise<ProbeResult> {
  const process = run([], "probe.ts", { ...job, pid: 0 });
  const lines = linesOf(process.stdout);
  const { value: ready } = await lines.next();
  if (ready === "ready") await onReady();
  const { value: result } = await lines.next();
  await lines.return(undefined);
  await process.stdin.close();
  await process.status;
  if (result === undefined) throw new Error("Cannot measure: the healthy ones were cut off");
  return JSON.parse(result);
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
