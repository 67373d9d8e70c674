/** The engine that keeps everything in this process. */

import { Buffer } from "node:buffer";
import type { Engine, EngineSink, History, HistoryRange, Message, TopicSummary } from "./engine.ts";
import { type Draft, encodeEvent, type Position, timestamp } from "./protocol.ts";
import { Ring } from "./ring.ts";

/** What the engine may hold. */
export interface MemoryEngineOptions {
  /** How many messages each topic keeps for replay. */
  readonly maxHistory: number;
}

interface Topic {
  readonly name: string;
  readonly epoch: string;
  offset: number;
  readonly history: Ring<Message>;
}

/** Answers every call at once, and delivers a message before the call that places it returns. A restart loses all. */
export class MemoryEngine implements Engine {
  readonly #maxHistory: number;
  readonly #topics = new Map<string, Topic>();
  #sink!: EngineSink;

  constructor(options: MemoryEngineOptions) {
    this.#maxHistory = options.maxHistory;
  }

  connect(sink: EngineSink): void {
    this.#sink = sink;
  }

  createTopic(name: string): boolean {
    if (this.#topics.has(name)) return false;
    this.#topics.set(name, {
      name,
      epoch: crypto.randomUUID(),
      offset: 0,
      history: new Ring(this.#maxHistory, 1),
    });
    return true;
  }

  deleteTopic(name: string): boolean {
    const topic = this.#topics.get(name);
    if (!topic) return false;
    this.#topics.delete(name);
    this.#sink.deleted(name, topic.epoch);
    return true;
  }

  countTopics(): number {
    return this.#topics.size;
  }

  listTopics(): readonly TopicSummary[] {
    return Array.from(this.#topics.values(), ({ name, offset }) => ({ name, messages: offset }));
  }

  publish(name: string, draft: Draft): Position | undefined {
    const topic = this.#topics.get(name);
    if (!topic) return undefined;
    const offset = ++topic.offset;
    const text = encodeEvent(name, draft, offset, timestamp());
    const message: Message = { offset, text, bytes: Buffer.byteLength(text) };
    topic.history.push(message);
    this.#sink.message(name, topic.epoch, message);
    return { epoch: topic.epoch, offset };
  }

  read(name: string, range: HistoryRange): History | undefined {
    const topic = this.#topics.get(name);
    if (!topic) return undefined;
    const { epoch, offset, history } = topic;
    const after = "after" in range ? range.after : offset - range.last;
    return { epoch, offset, messages: history.since(after + 1) };
  }

  listen(): void {}

  unlisten(): void {}

  close(): void {}
}
