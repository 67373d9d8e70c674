/** Runs sections: in every round each contender is started anew and takes its turn, so that noise meets all alike. */

import type { Cell, Results, Rounds, Section } from "./cells.ts";
import type { Contender, Launch } from "./contender.ts";
import { drive, type ServerProcess, startServerProcess } from "./processes.ts";
import { cpuSeconds } from "./usage.ts";

export interface Entrant {
  readonly contender: Contender;
  readonly launch: Launch;
}

export interface RunOptions {
  readonly rounds: number;
  readonly results: Results;
  /** Takes a line about what is going on. */
  readonly say: (line: string) => void;
}

export async function runSection(
  section: Section,
  entrants: readonly Entrant[],
  { rounds, results, say }: RunOptions,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    say(`${section.name}: round ${round + 1} of ${rounds}`);
    for (let turn = 0; turn < entrants.length; turn++) {
      const { contender, launch } = entrants[(round + turn) % entrants.length]!;
      const open = section.cells.filter((cell) =>
        !wasSkipped(results.of(section.name, cell.title, contender.name))
      );
      if (open.length === 0) continue;
      await using server = await startServerProcess(launch);
      for (const cell of open) {
        const outcomes = results.of(section.name, cell.title, contender.name);
        outcomes.push(await runCell(cell, contender, server));
        await settle(server);
      }
    }
  }
}

/** What cannot be measured once cannot be measured in a later round. */
function wasSkipped(outcomes: Rounds): boolean {
  return outcomes.some((outcome) => "skipped" in outcome);
}

async function runCell(
  cell: Cell,
  contender: Contender,
  { port, pid }: ServerProcess,
): Promise<Rounds[number]> {
  const jobs = cell.jobs({ port, pid }, contender.dialect);
  if (typeof jobs === "string") return { skipped: jobs };
  let outcome: Rounds[number] = { skipped: "there is nothing to do" };
  for (const job of jobs) {
    outcome = await drive(job);
    if (!("result" in outcome)) return outcome;
  }
  return outcome;
}

/** Waits until the server has dealt with the end of the last driver's connections. */
async function settle({ pid }: ServerProcess): Promise<void> {
  const deadline = performance.now() + 3000;
  for (let used = -1, now = cpuSeconds(pid); now > used && performance.now() < deadline;) {
    used = now;
    await new Promise((resolve) => setTimeout(resolve, 60));
    now = cpuSeconds(pid);
  }
}
