/** What is measured: sections of cells, each a job for the driver, repeated in rounds in which contenders take turns. */

import type { ServerProcess } from "./processes.ts";
import type { DriverJob, Outcome, ResultOf } from "./driver/jobs.ts";
import type { DialectName } from "./wire.ts";

export interface Cell {
  readonly title: string;
  /** Jobs of which only the last one is measured, or the reason why there are none. */
  jobs(
    server: Pick<ServerProcess, "port" | "pid">,
    dialect: DialectName,
  ): readonly DriverJob[] | string;
}

/** One number of a result, as a column of the table. */
export interface Figure {
  readonly title: string;
  of(result: ResultOf[DriverJob["kind"]]): number | undefined;
  format(value: number): string;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  /** What the numbers mean, for whoever reads them without knowing this program. */
  readonly note: string;
  /** Names of the contenders that take part. */
  readonly contenders: readonly string[];
  readonly cells: readonly Cell[];
  /** The first one is what ratios are made of. */
  readonly figures: readonly Figure[];
  /** Names of the contenders that ratios are against. */
  readonly bases: readonly string[];
  /** How many connections it opens at the most. */
  readonly connections: number;
}

/** The outcomes of one contender in one cell, one for each round. */
export type Rounds = Outcome<ResultOf[DriverJob["kind"]]>[];

/** All outcomes, by section, cell and contender. */
export class Results {
  readonly #rounds = new Map<string, Rounds>();

  of(section: string, cell: string, contender: string): Rounds {
    const key = `${section} / ${cell} / ${contender}`;
    const rounds = this.#rounds.get(key) ?? [];
    this.#rounds.set(key, rounds);
    return rounds;
  }

  toJSON(): Record<string, Rounds> {
    return Object.fromEntries(this.#rounds);
  }

  /** A figure in every round that was measured; `undefined` for a round that was not. */
  values(section: string, cell: string, contender: string, figure: Figure): (number | undefined)[] {
    return this.of(section, cell, contender).map((outcome) =>
      "result" in outcome ? figure.of(outcome.result) : undefined
    );
  }
}
