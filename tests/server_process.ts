/** The server as a process of its own: for signals, exit codes, and memory that is not the test's. */

import type { Received } from "./harness.ts";

const main = new URL("../src/main.ts", import.meta.url).pathname;

export class ServerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #logEnded: Promise<void>;
  readonly port: number;
  /** The lines of its log, parsed. */
  readonly logged: Received[];

  private constructor(
    child: Deno.ChildProcess,
    port: number,
    logged: Received[],
    ended: Promise<void>,
  ) {
    this.#child = child;
    this.port = port;
    this.logged = logged;
    this.#logEnded = ended;
  }

  /** Starts it on a free port, and waits until it listens. `launcher` may wrap the command, as `sh -c` does. */
  static async start(
    settings: Record<string, string> = {},
    launcher: (command: string[]) => string[] = (command) => command,
  ): Promise<ServerProcess> {
    const [command, ...args] = launcher([Deno.execPath(), "run", "--no-prompt", "-A", main]);
    const child = new Deno.Command(command!, {
      args,
      env: { HOST: "127.0.0.1", PORT: "0", LOG_FORMAT: "json", ...settings },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const logged: Received[] = [];
    let heard = (_port: number) => {};
    const listening = new Promise<number>((resolve) => heard = resolve);
    const ended = readLines(child.stderr, (line) => {
      const entry = line.startsWith("{") ? JSON.parse(line) : { message: line };
      logged.push(entry);
      if (entry.message === "listening") heard(entry.port);
    });
    const port = await Promise.race([
      listening,
      ended.then(() => Promise.reject(new Error(`Cannot start: ${JSON.stringify(logged)}`))),
    ]);
    return new ServerProcess(child, port, logged, ended);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** How it ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Bytes of memory that it holds. */
  async residentBytes(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#child.pid}/status`);
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#logEnded;
  }
}

async function readLines(stream: ReadableStream<Uint8Array>, take: (line: string) => void) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    lines.forEach(take);
  }
}
