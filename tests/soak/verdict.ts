/** What a soak counts: breaches of the promises, of which there must be none, and what happened besides. */

/** What must never happen. */
export const breaches = {
  lost: "acked messages that history or a healthy subscriber did not get",
  duplicated: "messages that came, or have their place, twice",
  reordered: "messages out of the one order of their topic",
  "unreported gaps": "messages that were passed over without a word",
  "wrong loss reports":
    "SLOW_CONSUMER with a wrong count or range, or not once for a run of losses",
  "stray events": "events without a subscription: after an unsubscribe, a delete, or of nobody",
  "wrong recoveries": "`recovered` or its reason not as it was",
  "wrong answers": "answers that are none, of another request, or not true",
  "wrong ends": "connections or servers that ended as they must not",
  "server faults": "errors in the server's log",
  hung: "clients that did not come to rest at the end",
} as const;

export type Breach = keyof typeof breaches;

/** How many examples of breaches are kept. */
const maxExamples = 20;

export class Verdict {
  readonly breached = new Map<Breach, number>();
  readonly examples: string[] = [];
  readonly faults = new Map<string, number>();
  readonly recoveriesMs: number[] = [];
  /** Publishes sent; acked; refused; and those whose connection ended before their answer. */
  published = 0;
  acked = 0;
  refused = 0;
  unanswered = 0;
  /** Publishes that were sent again, and how many of those were there already. */
  retried = 0;
  duplicatesRefused = 0;
  delivered = 0;
  /** Losses told to slow subscribers. */
  toldLost = 0;
  connections = 0;
  badInputs = 0;
  recovered = 0;
  notRecovered = 0;

  breach(kind: Breach, example: string, count = 1): void {
    this.breached.set(kind, this.count(kind) + count);
    if (this.examples.length < maxExamples) this.examples.push(`${kind}: ${example}`);
  }

  /** Takes back what looked like a breach of this kind and is one of another. */
  takeBack(kind: Breach): void {
    this.breached.set(kind, this.count(kind) - 1);
  }

  count(kind: Breach): number {
    return this.breached.get(kind) ?? 0;
  }

  fault(kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
  }

  get faultCount(): number {
    return [...this.faults.values()].reduce((sum, count) => sum + count, 0);
  }

  get isClean(): boolean {
    return [...this.breached.values()].every((count) => count === 0);
  }
}
