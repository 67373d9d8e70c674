/** Programs as a user runs them: the command line of tidings, curl, and wscat. */

import project from "../deno.json" with { type: "json" };
import { settingDescriptions } from "../src/config.ts";
import type { Received } from "./harness.ts";

/** The project's root. */
export const root = new URL("../", import.meta.url);

/** The flags after `--` of a task's command that say what it may do. */
export function permissionFlags(task: "start" | "dev" | "compile"): string[] {
  const { command } = project.tasks[task];
  return command.split(" ").filter((word) => /^--(allow|deny|no-prompt)/.test(word));
}

/** Which of these programs are not on PATH. */
export function missingPrograms(...programs: string[]): string[] {
  return programs.filter((program) => findProgram(program) === undefined);
}

/** Where a program is: on PATH, or in one of `folders`. */
export function findProgram(program: string, folders: readonly string[] = []): string | undefined {
  return [...(Deno.env.get("PATH") ?? "").split(":"), ...folders]
    .map((folder) => `${folder}/${program}`)
    .find(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** How to run tidings, besides what it is told. */
export interface RunOptions extends Deno.CommandOptions {
  /** A command that runs the one behind it, as `nice` does. */
  readonly wrapper?: readonly string[];
}

/**
 * The command line of tidings: as `deno task start` runs it, with the same permissions and no setting from the
 * environment; or the binary that `TIDINGS_BINARY` names, with an empty environment and in `options.cwd`.
 */
export function tidings(args: string[], { wrapper = [], env = {}, ...options }: RunOptions = {}) {
  const binary = Deno.env.get("TIDINGS_BINARY");
  const program = binary
    ? [Deno.realPathSync(binary)]
    : [Deno.execPath(), "run", ...permissionFlags("start"), "src/main.ts"];
  const [command, ...rest] = [...wrapper, ...program, ...args];
  return new Deno.Command(command!, {
    ...options,
    args: rest,
    clearEnv: true,
    ...(binary ? { env } : { cwd: root, env: { ...environmentWithoutSettings(), ...env } }),
  });
}

function environmentWithoutSettings(): Record<string, string> {
  const environment = Deno.env.toObject();
  for (const { variable } of settingDescriptions) delete environment[variable];
  return environment;
}

/** Runs a shell command line as it stands in a document, with the port that the server really has. */
export async function shell(line: string, { port }: { port: number }): Promise<Received> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", line.replaceAll("localhost:8000", `localhost:${port}`)],
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`${line}\nended with ${code}: ${text.decode(stderr)}`);
  return JSON.parse(text.decode(stdout));
}

/** A person at wscat: types lines, and reads what is printed. */
export class Wscat implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stdout: AsyncGenerator<string>;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#stdin = process.stdin.getWriter();
    this.#stdout = linesOf(process.stdout);
  }

  /**
   * Connects. wscat says so on a terminal only, and drops what is typed before: through a pipe the first heartbeat
   * tells, so the server needs a short interval.
   */
  static async connect({ port }: { port: number }): Promise<Wscat> {
    const process = new Deno.Command("wscat", {
      args: ["-c", `ws://localhost:${port}/ws`],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const wscat = new Wscat(process);
    await wscat.heartbeat();
    return wscat;
  }

  /** Types one line. */
  async type(line: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
  }

  /** The next message that is printed, heartbeats left out. */
  async next(): Promise<Received> {
    return await this.#find((message) => message.msg !== "ping");
  }

  /** The next heartbeat that is printed. */
  async heartbeat(): Promise<Received> {
    return await this.#find((message) => message.msg === "ping");
  }

  async #find(wanted: (message: Received) => boolean): Promise<Received> {
    for (;;) {
      const { value: line, done } = await this.#stdout.next();
      if (done) throw new Error("wscat ended");
      const message = JSON.parse(line.replace(/^(> )*/, ""));
      if (wanted(message)) return message;
    }
  }

  /** Ends its input, as Ctrl+D does; wscat closes the connection and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    await this.#stdout.return(undefined);
    await this.#process.status;
  }
}

/** A program's output, line by line. */
export async function* linesOf(output: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
