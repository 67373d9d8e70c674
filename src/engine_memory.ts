/** The engine that keeps everything in this process. */

import { Buffer } from "node:buffer";
import type {
  Engine,
  EngineSink,
  History,
  HistoryRange,
  Message,
  Placed,
  PublishOptions,
  TopicCreation,
  TopicSummary,
} from "./engine.ts";
import { HistoryBudget, TopicHistory } from "./history.ts";
import { type IdempotencyOptions, IdempotencyWindow } from "./idempotency.ts";
import { type Draft, encodeEvent, timestamp } from "./protocol.ts";

/** Settings of a {@link MemoryEngine}. */
export interface MemoryEngineOptions extends IdempotencyOptions {
  /** How many topics there may be. */
  readonly maxTopics: number;
  /** How many messages each topic keeps for replay. */
  readonly maxHistory: number;
  /** How many bytes all topics together keep for replay. */
  readonly maxHistoryBytes: number;
}

interface Topic {
  readonly name: string;
  readonly epoch: string;
  offset: number;
  readonly history: TopicHistory;
  /** Made when the first idempotent message comes. */
  idempotency: IdempotencyWindow | undefined;
}

/** Keeps topics and their newest messages in memory; answers every call at once. */
export class MemoryEngine implements Engine {
  readonly #options: MemoryEngineOptions;
  readonly #budget: HistoryBudget;
  readonly #topics = new Map<string, Topic>();
  #sink!: EngineSink;

  constructor(options: MemoryEngineOptions) {
    this.#options = options;
    this.#budget = new HistoryBudget(options.maxHistoryBytes);
  }

  connect(sink: EngineSink): void {
    this.#sink = sink;
  }

  createTopic(name: string): TopicCreation {
    if (this.#topics.has(name)) return "exists";
    if (this.#topics.size >= this.#options.maxTopics) return "too_many";
    this.#topics.set(name, {
      name,
      epoch: crypto.randomUUID(),
      offset: 0,
      history: new TopicHistory(this.#options.maxHistory, this.#budget),
      idempotency: undefined,
    });
    return "created";
  }

  deleteTopic(name: string): boolean {
    const topic = this.#topics.get(name);
    if (!topic) return false;
    // Who is still catching up reads the rest of the history now.
    this.#sink.deleted(name, topic.epoch);
    this.#topics.delete(name);
    topic.history.clear();
    return true;
  }

  countTopics(): number {
    return this.#topics.size;
  }

  listTopics(): readonly TopicSummary[] {
    return Array.from(this.#topics.values(), ({ name, offset, history }) => ({
      name,
      messages: offset,
      history: { messages: history.size, bytes: history.bytes },
      evicted: history.evicted,
    }));
  }

  publish(name: string, draft: Draft, options: PublishOptions): Placed | "id_reused" | undefined {
    const topic = this.#topics.get(name);
    if (!topic) return undefined;
    if (!options.idempotent) return this.#place(topic, draft, options.origin);

    topic.idempotency ??= new IdempotencyWindow(this.#options);
    const found = topic.idempotency.find(draft);
    if (found === "id_reused") return found;
    if (found !== undefined) return { epoch: topic.epoch, offset: found, duplicate: true };
    topic.idempotency.add(draft, topic.offset + 1);
    return this.#place(topic, draft, options.origin);
  }

  read(name: string, range: HistoryRange): History | undefined {
    const topic = this.#topics.get(name);
    if (!topic) return undefined;
    const { epoch, offset, history } = topic;
    const messages = "after" in range
      ? history.after(range.after, range.limit ?? Infinity)
      : history.after(offset - range.last, Infinity);
    return { epoch, offset, messages };
  }

  listen(): void {}

  unlisten(): void {}

  close(): void {}

  #place(topic: Topic, draft: Draft, origin: string | undefined): Placed {
    const offset = ++topic.offset;
    const text = encodeEvent(topic.name, draft, offset, timestamp());
    const message: Message = { offset, text, bytes: Buffer.byteLength(text), origin };
    topic.history.push(message);
    this.#sink.message(topic.name, topic.epoch, message);
    return { epoch: topic.epoch, offset, duplicate: false };
  }
}
