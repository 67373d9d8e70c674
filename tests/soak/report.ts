/** What a soak found, for people. */

import { type MemorySample, slopeOf } from "./memory.ts";
import type { SoakResult } from "./soak.ts";
import { type Breach, breaches } from "./verdict.ts";

export function reportSoak({ verdict, memory }: SoakResult): string {
  const { published, acked, refused, unanswered, retried, duplicatesRefused } = verdict;
  const recoveries = [...verdict.recoveriesMs].sort((one, other) => one - other);
  const at = (share: number) => `${percentile(recoveries, share).toFixed(0)} ms`;
  const slope = slopeOf(memory);
  const lines = [
    `connections  ${verdict.connections}`,
    `published    ${published}: ${acked} acked, ${refused} refused, ${unanswered} left unanswered`,
    `retried      ${retried}, of which ${duplicatesRefused} were there already`,
    `delivered    ${verdict.delivered} events; ${verdict.toldLost} told as lost to slow subscribers`,
    `bad inputs   ${verdict.badInputs}`,
    `recoveries   ${verdict.recovered} with all that was missed, ${verdict.notRecovered} told why not`,
    `  it took    p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} of ${recoveries.length}`,
    slope === undefined
      ? "memory       not measured"
      : `memory       ${slope.toFixed(2)} MB/min over the second half: ${
        [0, 0.25, 0.5, 0.75, 1].map((share) => mega(memory, share)).join(", ")
      } MB`,
    "",
    `faults       ${verdict.faultCount}`,
    ...[...verdict.faults].sort().map(([kind, count]) => `  ${kind.padEnd(24)}${count}`),
    "",
    "must be zero",
    ...Object.entries(breaches).map(([kind, meaning]) =>
      `  ${kind.padEnd(20)}${String(verdict.count(kind as Breach)).padStart(6)}  ${meaning}`
    ),
    ...verdict.examples.map((example) => `! ${example}`),
  ];
  return lines.join("\n");
}

/** The value below which a share of the sorted values lies; 0 when there are none. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** What was held when a share of the samples was taken. */
function mega(memory: readonly MemorySample[], share: number): string {
  return (memory[Math.round(share * (memory.length - 1))]!.bytes / 1e6).toFixed(0);
}
