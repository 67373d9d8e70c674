/** The server of a soak, which ends and starts again on the same port. */

import { ServerProcess } from "../server_process.ts";
import type { Ledger } from "./ledger.ts";
import type { Verdict } from "./verdict.ts";
import { serverSettings, volatileTopics } from "./world.ts";

/** How long a shutdown may take beyond its time-out, on a machine that is busy. */
const graceMs = 3_000;

export class ServerLife implements AsyncDisposable {
  /** Changes whenever it is told to end, and when it is back. Even while it runs. */
  life = 0;
  readonly #ledger: Ledger;
  readonly #verdict: Verdict;
  #server: ServerProcess | undefined;
  #port = 0;

  constructor(ledger: Ledger, verdict: Verdict) {
    this.#ledger = ledger;
    this.#verdict = verdict;
  }

  get port(): number {
    return this.#port;
  }

  async start(): Promise<void> {
    for (const topic of serverSettings.topics) this.#ledger.made(topic);
    this.#server = await ServerProcess.start({ ...serverSettings, port: this.#port });
    this.#port = this.#server.port;
    for (const topic of volatileTopics) await this.makeTopic(topic);
  }

  /** Ends it, one way or the other, and starts it again. */
  async restart(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.life++;
    const startedAt = performance.now();
    this.#server!.signal(signal);
    const { code } = await this.#server!.status;
    const tookMs = performance.now() - startedAt;
    const maxMs = serverSettings.shutdownTimeoutSeconds * 1000 + graceMs;
    if (signal === "SIGTERM" && (code !== 0 || tookMs > maxMs)) {
      this.#verdict.breach("wrong ends", `the server ended with ${code} after ${tookMs | 0} ms`);
    }
    await this.#end();
    for (const topic of [...serverSettings.topics, ...volatileTopics]) this.#ledger.ended(topic);
    await this.start();
    this.life++;
  }

  async makeTopic(topic: string): Promise<void> {
    this.#ledger.made(topic);
    await this.#call("/topics", 201, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: topic }),
    });
  }

  async deleteTopic(topic: string): Promise<void> {
    await this.#call(`/topics/${encodeURIComponent(topic)}`, 200, { method: "DELETE" });
    this.#ledger.ended(topic);
  }

  async residentBytes(): Promise<number> {
    return await this.#server!.residentBytes();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.life++;
    await this.#end();
  }

  async #end(): Promise<void> {
    const server = this.#server!;
    await server[Symbol.asyncDispose]();
    for (const entry of server.logged.filter(({ level }) => level === "error")) {
      this.#verdict.breach("server faults", JSON.stringify(entry));
    }
  }

  async #call(path: string, status: number, init: RequestInit): Promise<void> {
    using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, { ...init, client });
    await response.body?.cancel();
    if (response.status !== status) {
      this.#verdict.breach("wrong answers", `${response.status} to ${init.method} ${path}`);
    }
  }
}
