/** The subscribers of one topic and their publisher, and the count of what has reached them all. */

import { benchTopic, dialects } from "../wire.ts";
import { Connections } from "./connections.ts";
import type { Histogram } from "./histogram.ts";
import type { AudienceJob } from "./jobs.ts";
import { MarkerCounter } from "./marker.ts";
import { publishFrames, Sender } from "./sender.ts";

/** How many messages may be on their way, at the most. A power of two. */
const maxInFlight = 1024;

export class Audience {
  readonly size: number;
  /** Takes the time from the moment a message was due to each of its deliveries. */
  latency: Histogram | undefined;
  /** How many messages were sent, and how many of them have reached every subscriber. */
  published = 0;
  completed = 0;
  delivered = 0;
  readonly #connections: Connections;
  readonly #publisher: number;
  readonly #sender: Sender;
  readonly #counter: MarkerCounter;
  /** How many messages each subscriber has. */
  readonly #received: Uint32Array;
  /** How many subscribers have a message, and when it was due; by its number, modulo the most that are on their way. */
  readonly #holders = new Uint32Array(maxInFlight);
  readonly #dueAt = new Float64Array(maxInFlight);

  constructor({ port, dialect: name, subscribers, payloadBytes }: AudienceJob) {
    const dialect = dialects[name];
    this.size = subscribers;
    this.#connections = new Connections(port);
    this.#connections.open(subscribers, dialect, dialect.subscribe);
    this.#publisher = this.#connections.open(1, dialect, dialect.preparePublisher);
    this.#sender = new Sender(
      this.#connections,
      this.#publisher,
      publishFrames(dialect, [benchTopic], payloadBytes),
    );
    this.#counter = new MarkerCounter(this.#connections.buffer, this.#connections.size);
    this.#received = new Uint32Array(subscribers);
  }

  get inFlight(): number {
    return this.published - this.completed;
  }

  /** Deliveries that are still to come. */
  get outstanding(): number {
    return this.published * this.size - this.delivered;
  }

  /** Publishes `count` messages that were due at `dueAt`, as of `performance.now()`. */
  publish(count: number, dueAt: number): void {
    if (this.inFlight + count > maxInFlight) throw new Error("The server fell behind");
    for (let left = count; left > 0; left--) {
      this.#dueAt[this.published++ % maxInFlight] = dueAt;
    }
    this.#sender.publish(count);
  }

  /** Takes deliveries, and waits for at most `milliseconds` for the first one. */
  read(milliseconds: number): number {
    return this.#connections.read(
      milliseconds,
      (connection, length) => this.#take(connection, length),
    );
  }

  #take(connection: number, length: number): void {
    if (connection === this.#publisher) {
      if (this.completed < maxInFlight) refuseErrors(this.#connections.text(length));
      return;
    }
    const { latency, size } = this;
    const count = this.#counter.count(connection, length);
    const now = latency ? performance.now() : 0;
    let number = this.#received[connection]!;
    for (let left = count; left > 0; left--) {
      const slot = number++ % maxInFlight;
      latency?.add(now - this.#dueAt[slot]!);
      if (++this.#holders[slot]! === size) {
        this.#holders[slot] = 0;
        this.completed++;
      }
    }
    this.#received[connection] = number;
    this.delivered += count;
  }
}

/** A publisher that is refused is measured no further. */
export function refuseErrors(text: string): void {
  const refusal = /"error":\{[^}]*\}|-ERR[^\r]*/.exec(text)?.[0];
  if (refusal) throw new Error(`The server refused: ${refusal}`);
}
