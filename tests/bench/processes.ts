/** Servers and drivers as processes of their own; each is ended by its id, whatever happens. */

import type { Launch } from "./contender.ts";
import type { DriverJob, Outcome, ResultOf } from "./driver/jobs.ts";

const startTimeoutMs = 20_000;
/** Longer than any job takes. */
const jobTimeoutMs = 120_000;
const driver = new URL("driver/driver.ts", import.meta.url).pathname;

const running = new Set<Deno.ChildProcess>();

/** Ends all that was started; for the moment before an early exit. */
export function endAll(): void {
  for (const child of running) kill(child);
}

export interface ServerProcess extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
}

/** Starts a server and waits until it says its port. */
export async function startServerProcess(launch: Launch): Promise<ServerProcess> {
  const child = spawn(launch.program, launch.args);
  let printed = "";
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("it did not say its port")), startTimeoutMs);
    const take = async (stream: ReadableStream<Uint8Array>) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) {
        printed = (printed + text).slice(-2000);
        const port = launch.port.exec(printed)?.[1];
        if (port) resolve(Number(port));
      }
    };
    Promise.all([take(child.stdout), take(child.stderr)])
      .finally(() => reject(new Error(`it ended: ${printed.trim()}`)))
      .finally(() => clearTimeout(timer));
  }).catch(async (thrown) => {
    await end(child);
    throw thrown;
  });
  return { pid: child.pid, port, [Symbol.asyncDispose]: () => end(child) };
}

/** Has a driver do one job. */
export async function drive<Job extends DriverJob>(
  job: Job,
): Promise<Outcome<ResultOf[Job["kind"]]>> {
  const child = spawn(Deno.execPath(), [
    "run",
    "--no-prompt",
    "--allow-all",
    driver,
    JSON.stringify(job),
  ]);
  const timer = setTimeout(() => kill(child), jobTimeoutMs);
  const { stdout, stderr } = await child.output();
  clearTimeout(timer);
  await end(child);
  const decoder = new TextDecoder();
  if (stdout.length === 0) return { failed: `the driver ended: ${decoder.decode(stderr).trim()}` };
  return JSON.parse(decoder.decode(stdout));
}

function spawn(program: string, args: readonly string[]): Deno.ChildProcess {
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  running.add(child);
  return child;
}

/** Nothing is to be kept, so nobody is asked to shut down. */
async function end(child: Deno.ChildProcess): Promise<void> {
  if (!running.delete(child)) return;
  kill(child);
  await child.status;
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended on its own.
  }
}
