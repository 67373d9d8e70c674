/** `deno task floods`: what a healthy publisher and its subscriber notice of a flood beside them. */

import { readNumbers } from "../program_flags.ts";
import { floods } from "./floods.ts";
import { measure, type MeasureOptions, type Outcome } from "./measure.ts";
import { settingsToMeasure } from "./settings.ts";

const names = Object.keys(floods);

const { only, ...options } = readNumbers({
  task: "floods",
  about:
    `Measures how long a message takes from a healthy publisher to its subscriber, with nothing beside
them and with each flood, and whether one is lost. Server, flood and the healthy ones are processes of
their own; the flood runs with the least priority. Ends with 1 when a message was lost. Needs Linux
with glibc, and a machine that does nothing else.

Floods: ${names.map((name, index) => `${index + 1} ${name}`).join(", ")}`,
  flags: {
    seconds: { preset: 5, meaning: "how long each is measured, quiet and flooded" },
    "messages-per-second": { preset: 200, meaning: "what the healthy publisher publishes" },
    "per-second": { preset: 0, meaning: "what a flood sends; 0 is as much as the server takes" },
    only: { preset: 0, meaning: "the number of one flood; 0 is all" },
  },
});

const chosen = only === 0 ? names : names.slice(only - 1, only);
const measureOptions: MeasureOptions = {
  seconds: options.seconds,
  messagesPerSecond: options["messages-per-second"],
  perSecond: options["per-second"],
};

let lost = 0;
for (const named of await settingsToMeasure()) {
  console.log(`## ${named.name}\n`);
  console.log(
    row("flood", ["a second", "quiet p50", "p99 ms", "flood p50", "p99 ms", "x", "lost", "MB"]),
  );
  for (const name of chosen) {
    const outcome = await measure(name, named, measureOptions);
    lost += outcome.quiet.lost + outcome.flooded.lost;
    console.log(rowOf(outcome));
  }
  console.log();
}
console.log(
  "x: p99 with the flood, in its quiet value. MB: by how much the server grew meanwhile.",
);
Deno.exitCode = lost === 0 ? 0 : 1;

function rowOf({ name, quiet, flooded, flood, grownBytes }: Outcome): string {
  return row(name, [
    (flood.units / flood.seconds).toFixed(0),
    quiet.latency.p50Ms.toFixed(2),
    quiet.latency.p99Ms.toFixed(2),
    flooded.latency.p50Ms.toFixed(2),
    flooded.latency.p99Ms.toFixed(2),
    (flooded.latency.p99Ms / quiet.latency.p99Ms).toFixed(1),
    String(quiet.lost + flooded.lost),
    (grownBytes / 1e6).toFixed(0),
  ]);
}

function row(name: string, values: readonly string[]): string {
  return name.padEnd(20) + values.map((value) => value.padStart(11)).join("");
}
