/** A flood as a process of its own: until its standard input ends. Prints how much of it there was. */

import { sleepMicroseconds } from "../bench/driver/libc.ts";
import { floods } from "./floods.ts";

export interface FloodJob {
  readonly name: string;
  readonly port: number;
  /** How many units in a second at the most; as many as the server takes when 0. */
  readonly perSecond: number;
}

export interface FloodResult {
  readonly units: number;
  readonly seconds: number;
}

/** How long a flood goes without looking whether it is over. */
const sliceMs = 20;
const shortestNapUs = 200;

async function flood({ name, port, perSecond }: FloodJob): Promise<FloodResult> {
  const step = floods[name]!.start(port);
  let isOver = false;
  const waiting = Deno.stdin.read(new Uint8Array(1)).then(() => isOver = true);
  const startedAt = performance.now();
  let units = 0;
  while (!isOver) {
    const sliceEnd = performance.now() + sliceMs;
    for (let now = performance.now(); now < sliceEnd; now = performance.now()) {
      const due = perSecond > 0 ? perSecond * (now - startedAt) / 1000 : Infinity;
      const made = units < due ? step() : 0;
      units += made;
      if (made === 0) sleepMicroseconds(shortestNapUs);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await waiting;
  return { units, seconds: (performance.now() - startedAt) / 1000 };
}

if (import.meta.main) {
  console.log(JSON.stringify(await flood(JSON.parse(Deno.args[0]!))));
  Deno.exit(0);
}
