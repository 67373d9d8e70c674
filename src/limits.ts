/** What is over a limit: one wording that names the setting, and a count of how often that was the answer. */

import type { ErrorBody } from "./errors.ts";

/** The limits for which something is refused, by the names of their settings. The others make room, or wait. */
export const refusingLimits = [
  "MAX_MESSAGE_BYTES",
  "MAX_JSON_DEPTH",
  "MAX_TOPICS",
  "MAX_SUBSCRIPTIONS_PER_CONNECTION",
  "MAX_CONTROL_BACKLOG_BYTES",
  "MAX_CONNECTIONS",
  "MAX_CONNECTIONS_PER_ADDRESS",
  "MAX_CONNECTS_PER_SECOND_PER_ADDRESS",
  "MAX_EVICTED_CONNECTIONS",
  "MAX_REQUESTS_PER_SECOND",
] as const;

/** A limit for which something is refused. */
export type Limit = (typeof refusingLimits)[number];

/** The limits of this process, and how often each of them refused something. */
export class Limits {
  /** What each limit is, by the name of its setting; 0 where there is none. */
  readonly values: Readonly<Record<string, number>>;
  readonly #refused = new Map<Limit, number>(refusingLimits.map((limit) => [limit, 0]));

  constructor(values: Readonly<Record<string, number>>) {
    this.values = values;
  }

  /** How often each limit refused something since the start. */
  get refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused);
  }

  /** Counts that something was refused for a limit. */
  count(limit: Limit): void {
    this.#refused.set(limit, this.#refused.get(limit)! + 1);
  }

  /** Counts it, and answers `Cannot create topic "a": MAX_TOPICS (10000) is reached`. */
  exceeded(limit: Limit, action: string): ErrorBody {
    this.count(limit);
    return { code: "LIMIT_EXCEEDED", message: this.#describe(limit, action) };
  }

  /** Counts it, and answers the same for something that may be done again after `retryAfterMs`. */
  outpaced(limit: Limit, action: string, retryAfterMs: number): ErrorBody {
    this.count(limit);
    const message = `${this.#describe(limit, action)}; wait ${retryAfterMs} ms`;
    return { code: "RATE_LIMITED", message, retry_after_ms: retryAfterMs };
  }

  #describe(limit: Limit, action: string): string {
    return `Cannot ${action}: ${limit} (${this.values[limit]}) is reached`;
  }
}
