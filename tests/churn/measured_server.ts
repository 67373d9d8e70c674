/** The other end of the server that counts what it holds. */

import { linesOf } from "../programs.ts";
import type { Figures } from "./harness_server.ts";

const program = new URL("harness_server.ts", import.meta.url).pathname;

export class MeasuredServer implements AsyncDisposable {
  readonly port: number;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string>;

  private constructor(
    process: Deno.ChildProcess,
    { lines, port }: { lines: AsyncGenerator<string>; port: number },
  ) {
    this.#process = process;
    this.#stdin = process.stdin.getWriter();
    this.#lines = lines;
    this.port = port;
  }

  static async start(): Promise<MeasuredServer> {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--v8-flags=--expose-gc", "--allow-all", program],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = linesOf(process.stdout);
    const { value } = await lines.next();
    if (value === undefined) throw new Error("Cannot start: the server ended");
    return new MeasuredServer(process, { lines, port: JSON.parse(value).port });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What it holds now, after a garbage collection. */
  async figures(): Promise<Figures> {
    await this.#stdin.write(new TextEncoder().encode("figures\n"));
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error("Cannot measure: the server ended");
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    await this.#lines.return(undefined);
    await this.#process.status;
  }
}
