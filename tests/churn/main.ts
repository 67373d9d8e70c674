/** `deno task churn`: an hour of coming and going in a minute, and what is left of it. */

import { Random } from "../harness.ts";
import { pause } from "../pause.ts";
import { anySeed, readNumbers } from "../program_flags.ts";
import type { Figures } from "./harness_server.ts";
import { churn, Operations } from "./lives.ts";
import { MeasuredServer } from "./measured_server.ts";

/** Code that is compiled meanwhile, and what the engine keeps for it, may take so much. */
const heapSlackBytes = 3e6;
/** What is made once, and the connections that the program itself keeps. */
const warmUp = { operations: 20_000, seconds: 5 };
/** For so long the runtime itself keeps what was closed: about 15 s. */
const settleMs = 20_000;

const { seconds, operations, seed } = readNumbers({
  task: "churn",
  about:
    `Connects, subscribes, publishes, unsubscribes, breaks off, makes and deletes topics, and then compares
what the server holds with what it held before: heap after garbage collection, entries of all maps
and sets, timers, and file descriptors. Ends with 1 when something is left. Needs Linux (/proc).`,
  flags: {
    seconds: { preset: 60, meaning: "over how long the operations are spread" },
    operations: { preset: 200_000, meaning: "how many operations" },
    seed: { preset: NaN, meaning: "repeats the choices of a run (any)" },
  },
});

const random = new Random(Number.isNaN(seed) ? anySeed() : seed);
console.log(`churn with --seconds ${seconds} --operations ${operations} --seed ${random.seed}\n`);
await using server = await MeasuredServer.start();
await churn({ server, random, operations: new Operations() }, warmUp);
await pause(settleMs);
const before = await server.figures();

const made = new Operations();
const startedAt = performance.now();
await churn({ server, random, operations: made }, { operations, seconds });
const took = (performance.now() - startedAt) / 1000;
const busy = await server.figures();
await pause(settleMs);
const after = await server.figures();

console.log(`${made.total} operations in ${took.toFixed(1)} s`);
for (const [kind, count] of made.counts) console.log(`  ${kind.padEnd(14)}${count}`);
console.log(`\n${"".padEnd(22)}  before  right after   after`);
const rows: readonly (readonly [string, (figures: Figures) => string])[] = [
  ["heap, MB", ({ heapBytes }) => (heapBytes / 1e6).toFixed(2)],
  ["maps and sets", ({ collections }) => String(collections)],
  ["entries in them", ({ entries }) => String(entries)],
  ["timers", ({ timers }) => String(timers)],
  ["file descriptors", ({ descriptors }) => String(descriptors)],
];
for (const [name, show] of rows) {
  const [one, two, three] = [before, busy, after].map(show);
  console.log(`${name.padEnd(22)}${one!.padStart(8)}${two!.padStart(13)}${three!.padStart(8)}`);
}

const left = [
  after.heapBytes > before.heapBytes + heapSlackBytes && "heap",
  after.collections > before.collections && "maps",
  after.entries > before.entries && "entries",
  after.timers > before.timers && "timers",
  after.descriptors > before.descriptors && "descriptors",
].filter(Boolean);
console.log(left.length === 0 ? "\nnothing is left" : `\nleft over: ${left.join(", ")}`);
Deno.exitCode = left.length === 0 ? 0 : 1;
