/**
 * A server in a process that counts what it holds: every Map and Set, every timer, every file descriptor. Answers each
 * line on stdin with the figures as JSON, after a garbage collection.
 */

import { linesOf } from "../programs.ts";

/** What a process holds. */
export interface Figures {
  readonly heapBytes: number;
  /** Maps and Sets that are alive, and the entries in all of them. */
  readonly collections: number;
  readonly entries: number;
  readonly timers: number;
  readonly descriptors: number;
}

const { gc } = globalThis as unknown as { gc: () => void };

const collections = new Set<WeakRef<Map<unknown, unknown> | Set<unknown>>>();
const originalMap = Map;
const originalSet = Set;
const timers = new originalSet<unknown>();

/** From now on, whatever program is loaded makes collections and timers that are counted. */
function countEverything(): void {
  globalThis.Map = class<K, V> extends originalMap<K, V> {
    constructor(entries?: Iterable<readonly [K, V]> | null) {
      super(entries as Iterable<readonly [K, V]>);
      collections.add(new WeakRef<Map<unknown, unknown>>(this));
    }
  } as MapConstructor;
  globalThis.Set = class<T> extends originalSet<T> {
    constructor(values?: Iterable<T> | null) {
      super(values);
      collections.add(new WeakRef<Set<unknown>>(this));
    }
  } as SetConstructor;
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  const counted = globalThis as unknown as Record<string, unknown>;
  counted.setTimeout = (job: (...args: unknown[]) => void, ms: number, ...args: unknown[]) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      job(...args);
    }, ms);
    timers.add(timer);
    return timer;
  };
  counted.setInterval = (job: () => void, ms: number) => {
    const timer = setInterval(job, ms);
    timers.add(timer);
    return timer;
  };
  counted.clearTimeout = (timer: number) => {
    timers.delete(timer);
    clearTimeout(timer);
  };
  counted.clearInterval = (timer: number) => {
    timers.delete(timer);
    clearInterval(timer);
  };
}

async function figures(): Promise<Figures> {
  // What one collection lets go of, the next one takes.
  for (let left = 5; left > 0; left--) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  let alive = 0;
  let entries = 0;
  for (const reference of collections) {
    const collection = reference.deref();
    if (!collection) {
      collections.delete(reference);
      continue;
    }
    alive++;
    entries += collection.size;
  }
  return {
    heapBytes: Deno.memoryUsage().heapUsed,
    collections: alive,
    entries,
    timers: timers.size,
    descriptors: Array.from(Deno.readDirSync("/proc/self/fd")).length,
  };
}

if (import.meta.main) {
  countEverything();
  const { defaultConfig } = await import("../../src/config.ts");
  const { createLog } = await import("../../src/log.ts");
  const { startServer } = await import("../../src/server.ts");
  const write = (line: string) => console.error(line);
  const log = createLog({ level: "warn", format: "json", write });
  const config = defaultConfig({ port: 0, host: "127.0.0.1" });
  const server = await startServer(config, { log });
  console.log(JSON.stringify({ port: server.port }));
  for await (const _ of linesOf(Deno.stdin.readable)) console.log(JSON.stringify(await figures()));
  Deno.exit(0);
}
