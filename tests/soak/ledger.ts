/**
 * What is known to be true of the server's topics: every place that an ack, an event or the history has told of. All
 * clients write into it, so that two that were told different things are found out.
 */

import type { Verdict } from "./verdict.ts";

/** Places this far behind the newest are forgotten: neither history nor a slow client reaches back that far. */
const rememberedOffsets = 20_000;

interface Epoch {
  readonly topic: string;
  readonly idAt: Map<number, string>;
  readonly offsetOf: Map<string, number>;
  /** The greatest offset that was acked, and that was told of in any way. */
  acked: number;
  highest: number;
  /** The topic was deleted, or the server ended: whatever is asked for from now on is not of this epoch. */
  isOver: boolean;
}

/** Where a topic surely stood at some moment. */
export interface Standing {
  readonly epoch: string;
  readonly offset: number;
}

export class Ledger {
  readonly #verdict: Verdict;
  readonly #epochs = new Map<string, Epoch>();
  readonly #current = new Map<string, string>();
  /** How often each topic was made. */
  readonly #makings = new Map<string, number>();
  readonly #epochsSeen = new Map<string, number>();
  /** Ids of all that was sent and may be placed. */
  readonly #sent = new Set<string>();
  readonly #refused = new Set<string>();

  constructor(verdict: Verdict) {
    this.#verdict = verdict;
  }

  /** A topic is about to be made. */
  made(topic: string): void {
    this.#makings.set(topic, (this.#makings.get(topic) ?? 0) + 1);
  }

  /** A topic is gone: what is asked for from now on is of another epoch. */
  ended(topic: string): void {
    const name = this.#current.get(topic);
    if (name !== undefined) this.#epochs.get(name)!.isOver = true;
    this.#current.delete(topic);
  }

  sent(id: string): void {
    this.#sent.add(id);
  }

  /** The server said that it did not place this message. */
  refused(id: string): void {
    this.#refused.add(id);
  }

  /** Where the topic surely stands: everything up to there was acked. */
  standing(topic: string): Standing | undefined {
    const epoch = this.#current.get(topic);
    return epoch === undefined ? undefined : { epoch, offset: this.#epochs.get(epoch)!.acked };
  }

  /** The greatest offset of an epoch that anybody was told of. */
  highest(epoch: string): number {
    return this.#epochs.get(epoch)?.highest ?? 0;
  }

  isOver(epoch: string): boolean {
    return this.#epochs.get(epoch)?.isOver ?? false;
  }

  /** Somebody was told that the topic is in this epoch. */
  sawEpoch(topic: string, name: string): void {
    this.#epochOf(topic, name);
  }

  /** Somebody was told that the message has this place. */
  placed(topic: string, epochName: string, offset: number, id: string): void {
    const epoch = this.#epochOf(topic, epochName);
    if (offset <= epoch.highest - rememberedOffsets) return;
    const place = `${topic} ${epochName} ${offset}`;
    const other = epoch.idAt.get(offset);
    if (other === id) return;
    if (other !== undefined) {
      this.#verdict.breach("reordered", `${place} is both ${other} and ${id}`);
    }
    const before = epoch.offsetOf.get(id);
    if (before !== undefined) {
      this.#verdict.breach("duplicated", `${id} is at ${before} and ${place}`);
    }
    if (!this.#sent.has(id)) {
      this.#verdict.breach("stray events", `${id} at ${place} was never sent`);
    }
    if (this.#refused.has(id)) this.#verdict.breach("wrong answers", `${id} was refused: ${place}`);
    epoch.idAt.set(offset, id);
    epoch.offsetOf.set(id, offset);
    epoch.highest = Math.max(epoch.highest, offset);
    this.#forget(epoch, offset - rememberedOffsets);
  }

  /** A publisher was told that the message has this place. */
  acked(topic: string, epoch: string, offset: number, id: string): void {
    this.placed(topic, epoch, offset, id);
    const truth = this.#epochOf(topic, epoch);
    truth.acked = Math.max(truth.acked, offset);
  }

  #epochOf(topic: string, name: string): Epoch {
    const known = this.#epochs.get(name);
    if (known) {
      if (known.topic !== topic) {
        this.#verdict.breach("wrong answers", `epoch ${name} of ${known.topic} told of ${topic}`);
      }
      return known;
    }
    const seen = (this.#epochsSeen.get(topic) ?? 0) + 1;
    this.#epochsSeen.set(topic, seen);
    if (seen > (this.#makings.get(topic) ?? 0)) {
      this.#verdict.breach("wrong answers", `${topic} has epoch ${name}, but was not made again`);
    }
    const epoch: Epoch = {
      topic,
      idAt: new Map(),
      offsetOf: new Map(),
      acked: 0,
      highest: 0,
      isOver: false,
    };
    this.#epochs.set(name, epoch);
    this.#current.set(topic, name);
    return epoch;
  }

  #forget(epoch: Epoch, offset: number): void {
    const id = epoch.idAt.get(offset);
    if (id === undefined) return;
    epoch.idAt.delete(offset);
    epoch.offsetOf.delete(id);
    this.#sent.delete(id);
    this.#refused.delete(id);
  }
}
