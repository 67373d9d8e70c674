/** A subscriber that stays: comes back after every end with the position it has, and asks for what it missed. */

import { pause } from "../pause.ts";
import { Conversation } from "./conversation.ts";
import type { Standing } from "./ledger.ts";
import type { Link, OpenLink } from "./link.ts";
import type { Wish, Witness } from "./witness.ts";
import { serverSettings, volatileTopics, type World } from "./world.ts";

const fenceMs = 300;
const againMs = 50;
/** After so long without a word on a connection of which it asked something, it takes the server for dead. */
const deadAfterMs = 2_500;

export interface SubscriberOptions {
  readonly who: string;
  readonly topics: readonly string[];
  readonly open: OpenLink;
  readonly overflow?: Wish["overflow"];
  /** `healthy`: straight to the server, and always reads. `far`: on a bad network. `slow`: reads when it likes. */
  readonly nature: "healthy" | "far" | "slow";
}

/** Where a subscription was when its topic was deleted. */
interface Parting extends Standing {
  readonly topic: string;
  readonly atMs: number;
}

/** After so long, all acks of what was placed before a topic was deleted have been read. */
const partingMs = 1_000;

export class Subscriber {
  readonly who: string;
  link: Link | undefined;
  readonly #world: World;
  readonly #options: SubscriberOptions;
  readonly #positions = new Map<string, Standing>();
  #partings: Parting[] = [];
  #conversation: Conversation | undefined;
  #lostAtMs: number | undefined;
  #isSettling = false;

  constructor(world: World, options: SubscriberOptions) {
    this.#world = world;
    this.#options = options;
    this.who = options.who;
  }

  /** Where its subscriptions are. */
  get state(): string {
    const subscriptions = this.#conversation?.subscriptions;
    return this.#options.topics.map((topic) => {
      const standing = this.#world.ledger.standing(topic);
      return `${topic} at ${subscriptions?.get(topic)?.offset} of ${standing?.offset}`;
    }).join(", ");
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

  /** Everything that was placed in a topic before it was deleted must have come before `topic_deleted`. */
  checkPartings(): void {
    const now = performance.now();
    const due = this.#partings.filter(({ atMs }) => now - atMs > partingMs);
    this.#partings = this.#partings.filter(({ atMs }) => now - atMs <= partingMs);
    for (const { topic, epoch, offset } of due) {
      const highest = this.#world.ledger.highest(epoch);
      if (this.#options.nature !== "healthy" || offset >= highest) continue;
      const what = `${offset + 1} to ${highest} did not come before topic_deleted`;
      this.#world.verdict.breach("lost", `${this.who}, ${topic}: ${what}`, highest - offset);
    }
  }

  /** Resolves when it has everything. False when it gave up. */
  async settle(timeoutMs: number): Promise<boolean> {
    this.#isSettling = true;
    this.link?.hurry?.();
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      if (this.#isComplete()) return true;
      await pause(againMs);
    }
    return false;
  }

  async #connect(): Promise<void> {
    const { over } = this.#world;
    const conversation = await Conversation.open(this.#options.open, {
      ...this.#world,
      who: this.who,
      maySlow: this.#options.nature !== "healthy",
      maxHistory: serverSettings.maxHistory,
    });
    const { link } = conversation;
    if (over.aborted) {
      link.abort();
      await link.closed;
      return;
    }
    this.link = link;
    this.#conversation = conversation;
    this.#begin(conversation);
    const ended = new AbortController();
    const watching = this.#watch(conversation, link, ended.signal);
    const abort = () => link.abort();
    over.addEventListener("abort", abort);
    const life = this.#world.life();
    const code = await link.closed;
    over.removeEventListener("abort", abort);
    ended.abort();
    await watching;
    this.#conversation = undefined;
    this.link = undefined;
    this.#part(conversation, code, life);
  }

  #begin(conversation: Conversation): void {
    conversation.onDeleted = (topic, witness) => {
      this.#keepPosition(topic, witness);
      const { epoch, offset } = witness;
      this.#partings.push({ topic, epoch, offset, atMs: performance.now() });
      this.#subscribeLater(conversation, topic);
    };
    for (const topic of this.#options.topics) this.#subscribe(conversation, topic);
  }

  #subscribe(conversation: Conversation, topic: string): void {
    const { overflow } = this.#options;
    conversation.subscribe({ topic, overflow, since: this.#positions.get(topic) }, () => {
      if (isVolatile(topic)) return this.#subscribeLater(conversation, topic);
      this.#world.verdict.breach("wrong answers", `${this.who}: no topic ${topic}`);
    });
  }

  #subscribeLater(conversation: Conversation, topic: string): void {
    void pause(againMs, this.#world.over).then(() => {
      if (this.#conversation === conversation) this.#subscribe(conversation, topic);
    });
  }

  /** Pings now and then, and breaks off when nothing comes any more. */
  async #watch(conversation: Conversation, link: Link, ended: AbortSignal): Promise<void> {
    let isFencing = false;
    while (!ended.aborted) {
      if (!isFencing) {
        isFencing = true;
        conversation.fence(() => {
          isFencing = false;
          if (conversation.subscriptions.size > 0) this.#noteRecovery();
        });
      }
      const silentMs = performance.now() - conversation.heardAtMs;
      if (this.#options.nature === "far" && silentMs > deadAfterMs) link.abort();
      await pause(this.#isSettling ? againMs : fenceMs, ended);
    }
  }

  #noteRecovery(): void {
    if (this.#lostAtMs === undefined) return;
    this.#world.verdict.recoveriesMs.push(performance.now() - this.#lostAtMs);
    this.#lostAtMs = undefined;
  }

  #keepPosition(topic: string, { epoch, offset }: Witness): void {
    this.#positions.set(topic, { epoch, offset });
  }

  #part(conversation: Conversation, code: number, life: number): void {
    for (const [topic, witness] of conversation.subscriptions) this.#keepPosition(topic, witness);
    if (this.#world.over.aborted) return;
    // How long a slow one takes says nothing of the server.
    if (this.#options.nature !== "slow") this.#lostAtMs ??= performance.now();
    const isWonder = this.#options.nature === "healthy" && life % 2 === 0 &&
      life === this.#world.life();
    if (isWonder || code === 1011) {
      this.#world.verdict.breach("wrong ends", `${this.who} was closed with ${code}`);
    }
  }

  #isComplete(): boolean {
    const subscriptions = this.#conversation?.subscriptions;
    return this.#options.topics.every((topic) => {
      const standing = this.#world.ledger.standing(topic);
      const witness = subscriptions?.get(topic);
      if (!witness) return false;
      return !standing || witness.epoch !== standing.epoch || witness.offset >= standing.offset;
    });
  }
}

/** Whether a topic may be missing. */
export function isVolatile(topic: string): boolean {
  return (volatileTopics as readonly string[]).includes(topic);
}
