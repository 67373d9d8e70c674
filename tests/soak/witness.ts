/** Holds one subscription to what its ack promised: every event once and in order, and every loss told exactly. */

import type { Received } from "../harness.ts";
import type { Ledger, Standing } from "./ledger.ts";
import type { Verdict } from "./verdict.ts";

/** How a subscription was asked for. */
export interface Wish {
  readonly topic: string;
  readonly overflow?: "drop_oldest" | "catch_up" | "latest" | "disconnect" | undefined;
  readonly last_n?: number | undefined;
  readonly since?: Standing | undefined;
}

export interface WitnessOptions {
  readonly who: string;
  readonly ledger: Ledger;
  readonly verdict: Verdict;
  /** Whether its connection may be behind at times. */
  readonly maySlow: boolean;
  /** The setting of the server. */
  readonly maxHistory: number;
}

export class Witness {
  readonly epoch: string;
  readonly #wish: Wish;
  readonly #options: WitnessOptions;
  /** The offset that has to come next. */
  #next: number;
  /** Offsets that were passed over without a word, and may yet come out of order. */
  readonly #missing = new Set<number>();
  #isLossJustTold = false;

  /** `before` is where the topic surely stood when the subscription was asked for. */
  constructor(wish: Wish, ack: Received, before: Standing | undefined, options: WitnessOptions) {
    this.#wish = wish;
    this.#options = options;
    this.epoch = ack.epoch;
    options.ledger.sawEpoch(wish.topic, ack.epoch);
    if (before && before.epoch === ack.epoch && ack.offset < before.offset) {
      this.#breach("lost", `ack ${ack.offset} of a subscribe after the ack of ${before.offset}`);
    }
    this.#next = this.#firstOffset(ack);
  }

  /** The offset of the last event that came or was told as lost. */
  get offset(): number {
    return this.#next - 1;
  }

  event({ offset, message }: Received): void {
    const { verdict, ledger } = this.#options;
    verdict.delivered++;
    this.#isLossJustTold = false;
    if (offset < this.#next) {
      if (this.#missing.delete(offset)) {
        verdict.takeBack("unreported gaps");
        this.#breach("reordered", `event ${offset} after ${this.#next - 1}`);
      } else {
        this.#breach("duplicated", `event ${offset} came again, after ${this.#next - 1}`);
      }
      return;
    }
    if (offset > this.#next && this.#wish.overflow !== "latest") this.#skip(offset - 1);
    this.#next = offset + 1;
    ledger.placed(this.#wish.topic, this.epoch, offset, message.id);
  }

  /** SLOW_CONSUMER. */
  loss({ error: { dropped, from_offset, to_offset } }: Received): void {
    const told = `${dropped} lost from ${from_offset} to ${to_offset}`;
    if (from_offset !== this.#next || dropped !== to_offset - from_offset + 1 || dropped < 1) {
      this.#breach("wrong loss reports", `${told}, when ${this.#next} was next`);
    }
    if (this.#isLossJustTold) this.#breach("wrong loss reports", `${told}, right after another`);
    if (this.#wish.overflow === "latest" || this.#wish.overflow === "disconnect") {
      this.#breach("wrong loss reports", `${told} to ${this.#wish.overflow}`);
    }
    if (this.#options.maySlow) this.#options.verdict.toldLost += dropped;
    else this.#breach("lost", `${told}, though it always reads`, dropped);
    this.#isLossJustTold = true;
    this.#next = Math.max(this.#next, to_offset + 1);
  }

  /** Everything up to a place must have come by now. */
  expect({ epoch, offset }: Standing, when: string): void {
    if (epoch !== this.epoch || offset < this.#next) return;
    if (this.#wish.overflow === "latest") {
      this.#breach("lost", `the latest of ${offset} did not come by ${when}`);
    } else {
      this.#skip(offset, `by ${when}`);
    }
    this.#next = offset + 1;
  }

  #skip(to: number, when = "before the next event"): void {
    this.#breach(
      "unreported gaps",
      `${this.#next} to ${to} did not come ${when}`,
      to - this.#next + 1,
    );
    for (let offset = this.#next; offset <= to; offset++) this.#missing.add(offset);
  }

  /** Where the replay begins, by what was asked for; also whether `recovered` tells the truth. */
  #firstOffset({ epoch, offset, recovered, reason }: Received): number {
    const { since, last_n = 0 } = this.#wish;
    const { verdict, maxHistory } = this.#options;
    const lastN = offset - Math.min(last_n, offset, maxHistory) + 1;
    if (!since) return lastN;
    const right = since.epoch !== epoch
      ? "epoch_changed"
      : since.offset > offset
      ? "ahead"
      : offset - since.offset > maxHistory
      ? "evicted"
      : undefined;
    const told = `recovered ${recovered}, reason ${reason} at ${offset} since ${since.offset}`;
    if (recovered !== (right === undefined) || reason !== right || right === "ahead") {
      this.#breach("wrong recoveries", `${told}; it is ${right}`);
    }
    if (recovered) verdict.recovered++;
    else verdict.notRecovered++;
    return recovered ? since.offset + 1 : lastN;
  }

  #breach(kind: Parameters<Verdict["breach"]>[0], example: string, count = 1): void {
    const { who, verdict } = this.#options;
    verdict.breach(kind, `${who}, ${this.#wish.topic}: ${example}`, count);
  }
}
