/** What all actors of a soak share. */

import type { Config } from "../../src/config.ts";
import type { Ledger } from "./ledger.ts";
import type { Verdict } from "./verdict.ts";

/** The server's settings that what it promises depends on. */
export const serverSettings:
  & Partial<Config>
  & Pick<Config, "topics" | "maxHistory" | "shutdownTimeoutSeconds"> = {
    topics: ["orders", "prices", "sensors/1"],
    maxHistory: 1_000,
    maxBufferedBytes: 65_536,
    maxIdempotencyIds: 100_000,
    heartbeatIntervalSeconds: 2,
    idleTimeoutSeconds: 3,
    shutdownTimeoutSeconds: 5,
  };

/** Topics that are deleted and made again. */
export const volatileTopics = ["volatile/1", "volatile/2"] as const;

export interface World {
  readonly verdict: Verdict;
  readonly ledger: Ledger;
  /** Where the server listens, and where the proxy in front of it. */
  readonly port: () => number;
  readonly proxyPort: () => number;
  /** Changes whenever the server is told to end, and when it is back: what ends in between is no wonder. Even while it runs. */
  readonly life: () => number;
  /** Aborted when no more is to be published. */
  readonly calm: AbortSignal;
  /** Aborted when everything is to end. */
  readonly over: AbortSignal;
}
