/** A connection held by another process, which can be stopped as by Ctrl+Z. */

import { linesOf } from "../programs.ts";
import type { Link } from "./link.ts";

const program = new URL("stoppable_client.ts", import.meta.url).pathname;

export class StoppableLink implements Link {
  readonly closed: Promise<number>;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #onText: (text: string) => void;
  readonly #opened = Promise.withResolvers<void>();

  private constructor(port: number, onText: (text: string) => void) {
    this.#onText = onText;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", program, String(port)],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    this.closed = this.#readAll();
  }

  static async open(port: number, onText: (text: string) => void): Promise<StoppableLink> {
    const link = new StoppableLink(port, onText);
    await link.#opened.promise;
    return link;
  }

  send(text: string): void {
    this.#stdin.write(new TextEncoder().encode(`${text}\n`)).catch(() => {});
  }

  close(): void {
    this.abort();
  }

  abort(): void {
    this.#signal("SIGKILL");
  }

  stop(): void {
    this.#signal("SIGSTOP");
  }

  hurry(): void {
    this.goOn();
  }

  goOn(): void {
    this.#signal("SIGCONT");
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended.
    }
  }

  async #readAll(): Promise<number> {
    let code = 1006;
    for await (const line of linesOf(this.#process.stdout)) {
      if (line === "open") this.#opened.resolve();
      else if (line.startsWith("closed ")) code = Number(line.slice(7));
      else this.#onText(line);
    }
    this.#opened.reject(new Error("Cannot upgrade: the client ended"));
    this.#opened.promise.catch(() => {});
    await this.#stdin.abort().catch(() => {});
    await this.#process.status;
    return code;
  }
}
