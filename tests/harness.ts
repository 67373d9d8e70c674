/** Servers and clients for the tests: real sockets on free ports of this machine, and waits that end with an event. */

import { type Config, defaultConfig } from "../src/config.ts";
import type { Engine } from "../src/engine.ts";
import { createLog } from "../src/log.ts";
import { type RunningServer, startServer } from "../src/server.ts";
import type { Clock } from "../src/token_bucket.ts";

/** Any message of the server, read as JSON. */
// deno-lint-ignore no-explicit-any
export type Received = any;

export interface TestServer extends RunningServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** The lines of its log, parsed, from level debug up. */
  readonly logged: Received[];
}

/** A server by its address, in this process or in one of its own. */
export interface Reachable {
  readonly url: string;
}

/** Starts a server in this process, on a free port. */
export async function serve(
  settings: Partial<Config> = {},
  options: { engine?: Engine; clock?: Clock } = {},
): Promise<TestServer> {
  const logged: Received[] = [];
  const log = createLog({
    level: "debug",
    format: "json",
    write: (line) => logged.push(JSON.parse(line)),
  });
  const config = defaultConfig({
    port: 0,
    host: "127.0.0.1",
    shutdownTimeoutSeconds: 2,
    ...settings,
  });
  const server = await startServer(config, { log, ...options });
  return { ...server, url: `http://127.0.0.1:${server.port}`, logged };
}

/** Makes a topic over HTTP. */
export async function makeTopic(server: Reachable, name: string): Promise<void> {
  const response = await fetch(`${server.url}/topics`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name }),
  });
  await response.body?.cancel();
  if (response.status !== 201) throw new Error(`Cannot make topic "${name}": ${response.status}`);
}

/** Deletes a topic over HTTP. */
export async function deleteTopic(server: Reachable, name: string): Promise<void> {
  const response = await fetch(`${server.url}/topics/${encodeURIComponent(name)}`, {
    method: "DELETE",
  });
  await response.body?.cancel();
  if (response.status !== 200) throw new Error(`Cannot delete "${name}": ${response.status}`);
}

/** GETs a JSON document. */
export async function getJson(server: Reachable, path: string): Promise<Received> {
  return await (await fetch(server.url + path)).json();
}

/** A WebSocket client that keeps all that it receives, in order. */
export class Client implements AsyncDisposable {
  readonly socket: WebSocket;
  /** Everything received, in order. */
  readonly received: Received[] = [];
  /** How the connection ended. */
  readonly closed: Promise<{ code: number; reason: string }>;
  #taken = 0;
  #requests = 0;
  #wake: () => void = () => {};

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.onclose = ({ code, reason }) => {
        resolve({ code, reason });
        this.#wake();
      };
    });
    socket.onmessage = ({ data }) => {
      const value = JSON.parse(data);
      this.received.push(...(Array.isArray(value) ? value : [value]));
      this.#wake();
    };
  }

  static async connect(server: { port: number }, protocols: string[] = []): Promise<Client> {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`, protocols);
    const client = new Client(socket);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = (event) => reject(new Error((event as ErrorEvent).message));
    });
    socket.onerror = null;
    return client;
  }

  /** Sends a text as it is, or anything else as JSON. */
  send(frame: unknown): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** The next message that was not taken yet. Rejects when the connection ends before it comes. */
  async next(): Promise<Received> {
    return await this.find(() => true);
  }

  /** The first of the messages not taken yet that satisfies `wanted`; takes all up to it. */
  async find(wanted: (message: Received) => boolean): Promise<Received> {
    for (;;) {
      while (this.#taken < this.received.length) {
        const message = this.received[this.#taken++];
        if (wanted(message)) return message;
      }
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error("connection closed");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Sends a request and waits for the answer that belongs to it; takes all up to it. */
  async request(command: Record<string, unknown>): Promise<Received> {
    const request_id = `request-${++this.#requests}`;
    this.send({ request_id, ...command });
    return await this.find((message) => message.request_id === (command.request_id ?? request_id));
  }

  /** Waits until all that was sent before is answered. */
  async fence(): Promise<void> {
    await this.request({ type: "ping" });
  }

  /** The events received so far. */
  get events(): Received[] {
    return this.received.filter((message) => message.type === "event");
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A publish command with an id of its own. */
export function publish(topic: string, payload: unknown): Record<string, unknown> {
  return { type: "publish", topic, message: { id: crypto.randomUUID(), payload } };
}

/** A subscribe command. */
export function subscribe(topic: string, options: Record<string, unknown> = {}) {
  return { type: "subscribe", topic, client_id: "tester", ...options };
}

/** Publishes so many messages of 1 KB to "t", a hundred at a time, and answers the last ack. */
export async function flood(publisher: Client, count: number): Promise<Received> {
  const message = () => publish("t", "x".repeat(1000));
  for (let n = 1; n < count; n++) {
    publisher.send(message());
    if (n % 100 === 0) await publisher.fence();
  }
  return await publisher.request(message());
}

/** The whole numbers from one to another. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}

/** Waits until something holds, looking again at every turn of the loop; gives up after `seconds`. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  seconds = 10,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`Gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Random numbers from a seed that a failing test prints. */
export class Random {
  readonly seed: number;
  #state: number;

  /** The seed comes from `SEED` in the environment, so that a failure can be repeated. */
  constructor(seed = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 2 ** 31))) {
    this.seed = seed;
    this.#state = seed;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) % below);
  }
}
