/**
 * An engine as bad as an engine may be: it answers late, and what it carries comes late, twice, out of order or not at
 * all. Offsets and epochs never lie. It stands for an engine over a network.
 */

import { defaultConfig } from "../src/config.ts";
import type {
  Awaitable,
  Engine,
  EngineSink,
  History,
  HistoryRange,
  Message,
  Placed,
  PublishOptions,
  TopicCreation,
  TopicSummary,
} from "../src/engine.ts";
import { MemoryEngine } from "../src/engine_memory.ts";
import type { Draft } from "../src/protocol.ts";
import type { Random } from "./harness.ts";

export class LateEngine implements Engine {
  readonly #inner: MemoryEngine;
  readonly #random: Random;
  /** What is on its way, by topic. */
  readonly #underWay = new Map<string, (() => void)[]>();
  readonly #answering = new Set<Promise<void>>();
  /** What is lost until its topic is deleted, by topic. */
  readonly #lost = new Map<string, (() => void)[]>();

  constructor(maxHistory: number, random: Random, bounds: { maxTopics?: number } = {}) {
    this.#inner = new MemoryEngine(defaultConfig({ maxHistory, ...bounds }));
    this.#random = random;
  }

  connect(sink: EngineSink): void {
    this.#inner.connect({
      message: (topic, epoch, message) => this.#carry(sink, topic, epoch, message),
      deleted: (topic, epoch) => {
        for (const stage of [this.#underWay, this.#lost]) {
          for (const arrive of stage.get(topic) ?? []) arrive();
          stage.delete(topic);
        }
        sink.deleted(topic, epoch);
      },
    });
  }

  createTopic(topic: string): Awaitable<TopicCreation> {
    return this.#late(this.#inner.createTopic(topic));
  }

  deleteTopic(topic: string): Awaitable<boolean> {
    return this.#late(this.#inner.deleteTopic(topic));
  }

  countTopics(): Awaitable<number> {
    return this.#late(this.#inner.countTopics());
  }

  listTopics(): Awaitable<readonly TopicSummary[]> {
    return this.#late(this.#inner.listTopics());
  }

  publish(
    topic: string,
    draft: Draft,
    options: PublishOptions,
  ): Awaitable<Placed | "id_reused" | undefined> {
    return this.#late(this.#inner.publish(topic, draft, options));
  }

  read(topic: string, range: HistoryRange): Awaitable<History | undefined> {
    return this.#late(this.#inner.read(topic, range));
  }

  listen(): Awaitable<void> {
    return this.#late(undefined);
  }

  unlisten(): void {}

  /** Comes to rest: every answer is given. */
  async close(): Promise<void> {
    while (this.#answering.size > 0) await Promise.all(this.#answering);
  }

  /** One in 20 is lost, one in 10 comes twice, and up to 8 wait for each other in a random order. */
  #carry(sink: EngineSink, topic: string, epoch: string, message: Message): void {
    const arrive = () => sink.message(topic, epoch, message);
    if (this.#random.below(20) === 0) {
      stageOf(this.#lost, topic).push(arrive);
      return;
    }
    const waiting = stageOf(this.#underWay, topic);
    waiting.splice(this.#random.below(waiting.length + 1), 0, arrive);
    if (this.#random.below(10) === 0) waiting.push(arrive);
    while (waiting.length > this.#random.below(9)) waiting.shift()!();
  }

  async #late<T>(answer: T): Promise<T> {
    const turns = this.#wait(this.#random.below(4));
    this.#answering.add(turns);
    await turns;
    this.#answering.delete(turns);
    return answer;
  }

  async #wait(turns: number): Promise<void> {
    for (; turns > 0; turns--) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function stageOf(stages: Map<string, (() => void)[]>, topic: string): (() => void)[] {
  const stage = stages.get(topic) ?? [];
  stages.set(topic, stage);
  return stage;
}
