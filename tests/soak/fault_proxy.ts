/** A TCP proxy that treats connections as bad networks do. */

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Random } from "../harness.ts";
import { pause } from "../pause.ts";
import type { Tamper } from "./tamper.ts";

/** What may become of a connection. */
export const proxyFaults = [
  "latency",
  "throttle",
  "slice",
  "black hole",
  "reset",
  "half-close",
] as const;

export type ProxyFault = (typeof proxyFaults)[number];

/** How many bytes one direction holds before it stops reading, so that who is slow is seen to be slow. */
const maxHeldBytes = 65_536;
/** How fast a throttled direction is, in bytes for each write, and between two of them. */
const throttledBytes = 512;
const throttledPauseMs = 20;

export interface FaultProxyOptions {
  readonly random: Random;
  /** Where connections really go. */
  readonly target: () => number;
  /** Alters what the server sends, on each connection, to see whether a checker finds it. */
  readonly tamper?: () => Tamper;
}

export class FaultProxy implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #connections = new Set<ProxiedConnection>();

  private constructor(server: Server, options: FaultProxyOptions) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (client) => {
      const upstream = connect({ port: options.target(), host: "127.0.0.1", allowHalfOpen: true });
      const connection = new ProxiedConnection(client, upstream, options);
      this.#connections.add(connection);
      void connection.ended.then(() => this.#connections.delete(connection));
    });
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FaultProxy(server, options);
  }

  /** Plants a fault in one connection, chosen at random, for so long. False when there is none. */
  plant(fault: ProxyFault, ms: number, random: Random): boolean {
    const connections = [...this.#connections];
    if (connections.length === 0) return false;
    connections[random.below(connections.length)]!.suffer(fault, ms);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = [...this.#connections].map((connection) => connection.ended);
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(ended);
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The state of the network under one connection. */
interface Weather {
  latencyMs: number;
  isThrottled: boolean;
  /** Cuts what goes through into pieces of 1 to so many bytes. */
  sliceBytes: number;
  isBlackHole: boolean;
}

class ProxiedConnection {
  readonly ended: Promise<unknown>;
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #random: Random;
  readonly #over = new AbortController();
  readonly #weather: Weather = {
    latencyMs: 0,
    isThrottled: false,
    sliceBytes: Infinity,
    isBlackHole: false,
  };

  constructor(client: Socket, upstream: Socket, { random, tamper }: FaultProxyOptions) {
    this.#client = client;
    this.#upstream = upstream;
    this.#random = random;
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    this.ended = Promise.all([
      this.#carry(client, upstream),
      this.#carry(upstream, client, tamper?.()),
    ]);
    // When both directions are over, whatever is left of the sockets goes too.
    void this.ended.then(() => this.destroy());
  }

  /** Brings the fault; what lasts is over after so long. */
  suffer(fault: ProxyFault, ms: number): void {
    const weather = this.#weather;
    switch (fault) {
      case "latency":
        return this.#forAWhile(ms, () => weather.latencyMs = 10 + this.#random.below(190), () => {
          weather.latencyMs = 0;
        });
      case "throttle":
        return this.#forAWhile(ms, () => weather.isThrottled = true, () => {
          weather.isThrottled = false;
        });
      case "slice":
        return this.#forAWhile(ms, () => weather.sliceBytes = 1 + this.#random.below(7), () => {
          weather.sliceBytes = Infinity;
        });
      case "black hole":
        return this.#forAWhile(ms, () => weather.isBlackHole = true, () => {
          weather.isBlackHole = false;
        });
      case "reset":
        this.#client.resetAndDestroy();
        this.#upstream.resetAndDestroy();
        return this.destroy();
      case "half-close":
        (this.#random.below(2) === 0 ? this.#upstream : this.#client).end();
    }
  }

  destroy(): void {
    this.#over.abort();
    this.#client.destroy();
    this.#upstream.destroy();
  }

  #forAWhile(ms: number, begin: () => void, end: () => void): void {
    begin();
    void pause(ms, this.#over.signal).then(end);
  }

  /** Carries all that comes from one side to the other, until it ends. */
  async #carry(from: Socket, to: Socket, tamper?: Tamper): Promise<void> {
    const { signal } = this.#over;
    const held: { bytes: Uint8Array; atMs: number }[] = [];
    let heldBytes = 0;
    let hasEnded = false;
    let wake = () => {};
    const stop = () => {
      hasEnded = true;
      wake();
    };
    from.on("data", (bytes: Uint8Array) => {
      held.push({ bytes: tamper ? tamper.change(bytes) : bytes, atMs: performance.now() });
      heldBytes += bytes.length;
      if (heldBytes > maxHeldBytes) from.pause();
      wake();
    });
    from.on("end", stop).on("close", stop).on("error", stop);
    to.on("close", stop).on("error", stop);
    signal.addEventListener("abort", stop);

    while (!signal.aborted) {
      const next = held.shift();
      if (!next) {
        if (hasEnded) break;
        await new Promise<void>((resolve) => wake = resolve);
        continue;
      }
      await this.#pass(next.bytes, next.atMs, to);
      heldBytes -= next.bytes.length;
      if (heldBytes <= maxHeldBytes && !hasEnded) from.resume();
    }
    while (this.#weather.isBlackHole && !signal.aborted) await pause(20, signal);
    to.end();
    if (to.destroyed || from.destroyed) this.destroy();
  }

  async #pass(bytes: Uint8Array, atMs: number, to: Socket): Promise<void> {
    const { signal } = this.#over;
    const weather = this.#weather;
    const lateMs = atMs + weather.latencyMs - performance.now();
    if (lateMs > 0 && weather.latencyMs > 0) await pause(lateMs, signal);
    for (let at = 0; at < bytes.length && !signal.aborted;) {
      while (weather.isBlackHole && !signal.aborted) await pause(20, signal);
      const size = weather.sliceBytes === Infinity
        ? bytes.length
        : 1 + this.#random.below(weather.sliceBytes);
      const piece = bytes.subarray(at, at + (weather.isThrottled ? throttledBytes : size));
      if (!await write(to, piece)) return;
      at += piece.length;
      if (weather.isThrottled) await pause(throttledPauseMs, signal);
      // A turn of the loop, so that each piece is a packet of its own.
      else if (at < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Writes when there is room. False when the other side is gone. */
async function write(to: Socket, bytes: Uint8Array): Promise<boolean> {
  if (to.destroyed || to.writableEnded) return false;
  if (to.write(bytes)) return true;
  await new Promise<void>((resolve) => {
    const end = () => {
      to.off("drain", end).off("close", end).off("error", end);
      resolve();
    };
    to.on("drain", end).on("close", end).on("error", end);
  });
  return !to.destroyed;
}
