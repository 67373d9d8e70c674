/** A publisher that never knows more than its acks tell it: what it may send again, it sends until it is answered. */

import { pause } from "../pause.ts";
import type { Random, Received } from "../harness.ts";
import { Conversation } from "./conversation.ts";
import type { OpenLink } from "./link.ts";
import { isVolatile } from "./subscriber.ts";
import { serverSettings, type World } from "./world.ts";

const tickMs = 20;
const againMs = 50;
const deadAfterMs = 2_500;
/** How many publishes wait for their ack at the most. */
const window = 16;

/** A message on its way. */
interface Draft {
  readonly topic: string;
  readonly id: string;
  readonly payload: string;
  readonly idempotent: boolean;
  attempts: number;
}

export interface PublisherOptions {
  readonly who: string;
  readonly topics: readonly string[];
  readonly open: OpenLink;
  readonly random: Random;
  readonly perSecond: number;
}

export class Publisher {
  readonly #world: World;
  readonly #options: PublisherOptions;
  /** Sent, and not answered; of the connection that is open. */
  readonly #unanswered = new Set<Draft>();
  /** To be sent again. */
  #again: Draft[] = [];
  #isRetiring = false;

  constructor(world: World, options: PublisherOptions) {
    this.#world = world;
    this.#options = options;
  }

  get who(): string {
    return this.#options.who;
  }

  /** What it waits for. */
  get state(): string {
    return `${this.#unanswered.size} unanswered, ${this.#again.length} to be sent again`;
  }

  /** Runs until everything ends. */
  async run(): Promise<void> {
    const { over } = this.#world;
    while (!over.aborted) {
      try {
        await this.#connect();
      } catch {
        // Refused, or broken off before it began: the server is away, or the network is bad.
      }
      await pause(againMs, over);
    }
  }

  /** Resolves when nothing is without its answer. False when it gave up. */
  async settle(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.#unanswered.size + this.#again.length > 0) {
      if (performance.now() > deadline) return false;
      await pause(againMs);
    }
    return true;
  }

  async #connect(): Promise<void> {
    const { verdict, over, calm } = this.#world;
    const conversation = await Conversation.open(this.#options.open, {
      ...this.#world,
      who: this.#options.who,
      maySlow: true,
      maxHistory: serverSettings.maxHistory,
    });
    const { link } = conversation;
    this.#isRetiring = false;
    let hasEnded = false;
    const ended = link.closed.then((code) => {
      hasEnded = true;
      if (code === 1011) verdict.breach("wrong ends", `${this.#options.who} was closed with 1011`);
    });
    for (const draft of this.#again.splice(0)) this.#send(conversation, draft);
    for (let due = 0; !hasEnded && !over.aborted; due += this.#options.perSecond * tickMs / 1000) {
      if (this.#isRetiring) link.close();
      for (; due >= 1; due--) {
        if (calm.aborted || this.#isRetiring || conversation.waiting >= window) continue;
        this.#send(conversation, this.#draft());
      }
      const silentMs = performance.now() - conversation.heardAtMs;
      if (conversation.waiting > 0 && silentMs > deadAfterMs) link.abort();
      await pause(tickMs, over);
    }
    link.abort();
    await ended;
    this.#giveUp();
  }

  #draft(): Draft {
    const { topics, random } = this.#options;
    const size = random.below(20) === 0 ? random.below(8_000) : random.below(800);
    return {
      topic: topics[random.below(topics.length)]!,
      id: crypto.randomUUID(),
      payload: "x".repeat(size),
      idempotent: random.below(2) === 0,
      attempts: 0,
    };
  }

  #send(conversation: Conversation, draft: Draft): void {
    const { verdict, ledger } = this.#world;
    const { topic, id, payload, idempotent } = draft;
    if (draft.attempts++ === 0) verdict.published++;
    else verdict.retried++;
    ledger.sent(id);
    this.#unanswered.add(draft);
    conversation.request(
      { type: "publish", topic, message: { id, payload }, ...(idempotent && { idempotent }) },
      (answer) => {
        this.#unanswered.delete(draft);
        this.#take(draft, answer);
      },
    );
  }

  #take(draft: Draft, answer: Received): void {
    const { verdict, ledger } = this.#world;
    const { topic, id, attempts } = draft;
    const wrong = () => {
      const what = JSON.stringify(answer).slice(0, 200);
      verdict.breach(
        "wrong answers",
        `${this.#options.who}: ${what} to publish ${attempts} of ${id}`,
      );
    };
    if (answer.type === "ack") {
      verdict.acked++;
      if (answer.duplicate) verdict.duplicatesRefused++;
      if (answer.duplicate && attempts === 1) wrong();
      return ledger.acked(topic, answer.epoch, answer.offset, id);
    }
    verdict.refused++;
    const code = answer.error?.code;
    if (code === "SHUTTING_DOWN") this.#isRetiring = true;
    else if (code !== "TOPIC_NOT_FOUND" || !isVolatile(topic)) wrong();
    if (attempts === 1) ledger.refused(id);
  }

  /** The connection is over: nobody knows what became of what was not answered. */
  #giveUp(): void {
    this.#world.verdict.unanswered += this.#unanswered.size;
    this.#again = [...this.#unanswered].filter(({ idempotent }) => idempotent);
    this.#unanswered.clear();
  }
}
