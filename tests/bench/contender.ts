/** What competes: a server that can be started, and the dialect in which it is spoken to. */

import type { Toolbox } from "./toolbox.ts";
import type { DialectName } from "./wire.ts";

export interface Contender {
  /** What `--only` calls it. */
  readonly name: string;
  /** What the tables and the chart call it. */
  readonly title: string;
  readonly dialect: DialectName;
  /** How to start it. Throws {@link Missing} where this machine lacks something. */
  prepare(tools: Toolbox): Promise<Launch> | Launch;
}

export interface Launch {
  readonly program: string;
  readonly args: readonly string[];
  /** Finds the port in what the server prints. */
  readonly port: RegExp;
}

/** A contender that cannot run here; the message says what is missing. */
export class Missing extends Error {}

/** The line that the servers in this folder print: `{"port":12345}`. */
export const portInJson = /"port":(\d+)/;
