/** `deno task soak`: everything that is promised, held while everything goes wrong. */

import { anySeed, readNumbers } from "../program_flags.ts";
import { reportSoak } from "./report.ts";
import { soak } from "./soak.ts";

const { minutes, seed } = readNumbers({
  task: "soak",
  about:
    `Holds a server to its promises while clients stall, stop and break off, the network between delays,
slices, swallows and resets, and the server itself is ended and started again. Ends with 1 when a
promise was broken. Needs Linux with glibc.`,
  flags: {
    minutes: { preset: 10, meaning: "how long; the server is ended in the first half only" },
    seed: { preset: NaN, meaning: "repeats the choices of a run (any)" },
  },
});

const chosen = Number.isNaN(seed) ? anySeed() : seed;
console.log(`soak for ${minutes} minutes with --seed ${chosen}\n`);
const result = await soak({ seconds: minutes * 60, seed: chosen });
console.log(reportSoak(result));
Deno.exit(result.verdict.isClean ? 0 : 1);
