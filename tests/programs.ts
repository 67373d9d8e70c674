/** Programs as a user runs them: the server as a process of its own, curl, and wscat. */

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
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return programs.filter((program) => !folders.some((folder) => isFile(`${folder}/${program}`)));
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** The server in a process of its own. */
export class ServerProcess implements AsyncDisposable {
  readonly port: number;
  readonly #process: Deno.ChildProcess;
  readonly #stderr: Lines;
  readonly #folder: string;

  private constructor(process: Deno.ChildProcess, stderr: Lines, port: number, folder: string) {
    this.#process = process;
    this.#stderr = stderr;
    this.port = port;
    this.#folder = folder;
  }

  /** Starts it on a free port and waits until it listens. */
  static async start(...flags: string[]): Promise<ServerProcess> {
    const folder = await Deno.makeTempDir();
    const process = tidings(["--port", "0", ...flags], { cwd: folder, stderr: "piped" }).spawn();
    const stderr = new Lines(process.stderr);
    const seen: string[] = [];
    for (;;) {
      const line = await stderr.next();
      if (line === undefined) throw new Error(`The server did not start:\n${seen.join("\n")}`);
      seen.push(line);
      if (!line.includes('"listening"')) continue;
      return new ServerProcess(process, stderr, JSON.parse(line).port, folder);
    }
  }

  /** Sends SIGTERM to the server itself, and answers the code that it ends with. */
  async stop(): Promise<number> {
    this.#process.kill("SIGTERM");
    while (await this.#stderr.next() !== undefined);
    return (await this.#process.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
      await this.#stderr.cancel();
    } catch {
      // It was stopped.
    }
    await this.#process.status;
    await Deno.remove(this.#folder);
  }
}

/**
 * The command line of tidings: as `deno task start` runs it, with the same permissions and no setting from the
 * environment; or the binary that `TIDINGS_BINARY` names, with an empty environment and in `options.cwd`.
 */
export function tidings(args: string[], options: Deno.CommandOptions = {}): Deno.Command {
  const binary = Deno.env.get("TIDINGS_BINARY");
  if (binary) {
    return new Deno.Command(Deno.realPathSync(binary), { ...options, args, clearEnv: true });
  }
  return new Deno.Command(Deno.execPath(), {
    ...options,
    args: ["run", ...permissionFlags("start"), "src/main.ts", ...args],
    cwd: root,
    clearEnv: true,
    env: environmentWithoutSettings(),
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
  readonly #stdout: Lines;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#stdin = process.stdin.getWriter();
    this.#stdout = new Lines(process.stdout);
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
      const line = await this.#stdout.next();
      if (line === undefined) throw new Error("wscat ended");
      const message = JSON.parse(line.replace(/^(> )*/, ""));
      if (wanted(message)) return message;
    }
  }

  /** Ends its input, as Ctrl+D does; wscat closes the connection and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    await this.#stdout.cancel();
    await this.#process.status;
  }
}

/** A program's output, line by line. */
class Lines {
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(bytes: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#lines = bytes.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line; `undefined` when the output has ended. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#lines.read();
      if (done) return undefined;
      this.#rest += value;
    }
  }

  async cancel(): Promise<void> {
    await this.#lines.cancel();
  }
}
