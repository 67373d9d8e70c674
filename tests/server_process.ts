/** The server as a process of its own: for signals, exit codes, permissions, and memory that is not the test's. */

import type { Config } from "../src/config.ts";
import type { Received } from "./harness.ts";
import { linesOf, tidings } from "./programs.ts";

export class ServerProcess implements AsyncDisposable {
  port = 0;
  /** The lines of its log, parsed. */
  readonly logged: Received[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #folder: string;
  readonly #listening = Promise.withResolvers<number>();
  readonly #logEnded: Promise<void>;

  private constructor(process: Deno.ChildProcess, folder: string) {
    this.#process = process;
    this.#folder = folder;
    this.#logEnded = this.#readLog();
  }

  /** Starts it on a free port, and waits until it listens. `wrapper` is a command that runs the one behind it. */
  static async start(
    settings: Partial<Config> = {},
    wrapper: readonly string[] = [],
  ): Promise<ServerProcess> {
    const { jwtSecret, ...others } = settings;
    const flags = Object.entries({ port: 0, host: "127.0.0.1", ...others })
      .flatMap(([name, value]) => [flagOf(name), String(value)]);
    const secrets = jwtSecret === undefined ? {} : { JWT_SECRET: jwtSecret };
    const cwd = await Deno.makeTempDir();
    const piped = { stdin: "null", stdout: "null", stderr: "piped" } as const;
    const server = new ServerProcess(
      tidings(flags, { wrapper, cwd, env: secrets, ...piped }).spawn(),
      cwd,
    );
    server.port = await server.#listening.promise;
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** How it ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#process.status;
  }

  /** Sends SIGTERM, and answers the code that it ends with. */
  async stop(): Promise<number> {
    this.signal("SIGTERM");
    return (await this.status).code;
  }

  /** Bytes of memory that it holds. */
  async residentBytes(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#process.pid}/status`);
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
  }

  /** How many sockets it has open. Files do not count: the runtime has some for a moment after its start. */
  get openSockets(): number {
    const folder = `/proc/${this.#process.pid}/fd`;
    return Array.from(Deno.readDirSync(folder), ({ name }) => targetOf(`${folder}/${name}`))
      .filter((target) => target.startsWith("socket:")).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.signal("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.status;
    await this.#logEnded;
    // Fails when it has left a file there.
    await Deno.remove(this.#folder);
  }

  async #readLog(): Promise<void> {
    for await (const line of linesOf(this.#process.stderr)) {
      const entry = line.startsWith("{") ? JSON.parse(line) : { message: line };
      this.logged.push(entry);
      if (entry.message === "listening") this.#listening.resolve(entry.port);
    }
    this.#listening.reject(new Error(`Cannot start: ${JSON.stringify(this.logged)}`));
  }
}

/** What a link leads to; nothing when it has just gone. */
function targetOf(link: string): string {
  try {
    return Deno.readLinkSync(link);
  } catch {
    return "";
  }
}

/** `maxHistory` is `--max-history`. */
function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
