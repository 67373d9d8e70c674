/** Sends frames that were made beforehand, over and over, as many at a time as are asked for. */

import { type Dialect, textFrame } from "../wire.ts";
import type { Connections } from "./connections.ts";
import { marker } from "./marker.ts";

/** How many different frames there are before they repeat, at least. */
const variety = 256;

/** A payload whose JSON text has exactly `bytes` bytes and begins with the marker. */
export function payloadOf(bytes: number): string {
  return JSON.stringify(marker + "x".repeat(bytes - marker.length - 2));
}

/** Frames that publish to each of the topics in turn, each under an id of its own. */
export function publishFrames(
  dialect: Dialect,
  topics: readonly string[],
  payloadBytes: number,
): Uint8Array<ArrayBuffer>[] {
  const payload = payloadOf(payloadBytes);
  return Array.from(
    { length: Math.ceil(variety / topics.length) * topics.length },
    (_, index) => dialect.publish(topics[index % topics.length]!, crypto.randomUUID(), payload),
  );
}

/** Commands of tidings that publish to each of the topics in turn and whose ack begins with the marker, as texts. */
export function ackedPublishCommands(topics: readonly string[], payloadBytes: number): string[] {
  const payload = JSON.stringify("x".repeat(payloadBytes - 2));
  return Array.from({ length: Math.ceil(variety / topics.length) * topics.length }, (_, index) => {
    const message = `{"id":"${crypto.randomUUID()}","payload":${payload}}`;
    const topic = topics[index % topics.length]!;
    return `{"type":"publish","topic":"${topic}","request_id":"${marker}${index}","message":${message}}`;
  });
}

/** Text frames of one command each, or of a JSON array of several. */
export function commandFrames(
  commands: readonly string[],
  commandsPerFrame: number,
): Uint8Array<ArrayBuffer>[] {
  if (commandsPerFrame === 1) return commands.map(textFrame);
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let from = 0; from + commandsPerFrame <= commands.length; from += commandsPerFrame) {
    frames.push(textFrame(`[${commands.slice(from, from + commandsPerFrame).join(",")}]`));
  }
  return frames;
}

export class Sender {
  readonly #connections: Connections;
  readonly #connection: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  /** Where each frame ends in the bytes. */
  readonly #ends: number[] = [];
  #frame = 0;
  /** Up to where the bytes are sent, and up to where they shall be; counted on beyond the end of the bytes. */
  #sent = 0;
  #wanted = 0;

  constructor(
    connections: Connections,
    connection: number,
    frames: readonly Uint8Array<ArrayBuffer>[],
  ) {
    this.#connections = connections;
    this.#connection = connection;
    this.#bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
    let end = 0;
    for (const frame of frames) {
      this.#bytes.set(frame, end);
      end += frame.length;
      this.#ends.push(end);
    }
  }

  /** Whether the kernel has not taken all yet. */
  get isBlocked(): boolean {
    return this.#sent < this.#wanted;
  }

  /** Sends the next `count` frames, in as few writes as can be. */
  publish(count: number): void {
    const size = this.#bytes.length;
    for (let left = count; left > 0; left--) {
      const start = this.#frame === 0 ? 0 : this.#ends[this.#frame - 1]!;
      this.#wanted += this.#ends[this.#frame]! - start;
      this.#frame = (this.#frame + 1) % this.#ends.length;
    }
    while (this.#sent < this.#wanted) {
      const from = this.#sent % size;
      const to = Math.min(size, from + this.#wanted - this.#sent);
      const taken = this.#connections.send(this.#connection, this.#bytes.subarray(from, to));
      this.#sent += taken;
      if (taken < to - from) return;
    }
  }
}
