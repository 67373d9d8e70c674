/**
 * A connection for which the kernel keeps little, and that reads as much as it is told to: a slow client is known to
 * the server for one after some kilobytes, not after the megabytes that loopback takes otherwise.
 */

import { close, connectTcp, Poll, receive, send } from "../bench/driver/libc.ts";
import { encodeFrame } from "../frames.ts";
import { closeCode, FrameStream, type Link, opening, textFrame } from "./link.ts";

/** How often all of them are looked at. */
const tickMs = 5;
const buffer = new Uint8Array(65_536);

const poll = new Poll();
const links = new Map<number, NarrowLink>();
let ticking: ReturnType<typeof setInterval> | undefined;

function tick(): void {
  for (const link of links.values()) link.flush();
  for (let index = poll.wait(0) - 1; index >= 0; index--) links.get(poll.ready(index))?.read();
}

export class NarrowLink implements Link {
  /** How many bytes it reads in each tick of 5 ms. */
  bytesPerTick = Infinity;
  readonly #descriptor: number;
  readonly #onText: (text: string) => void;
  readonly #frames = new FrameStream();
  readonly #opened = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<number>();
  #unsent: Uint8Array<ArrayBuffer>[] = [opening];

  private constructor(port: number, onText: (text: string) => void) {
    this.#descriptor = connectTcp(port, { isNarrow: true });
    this.#onText = onText;
    poll.add(this.#descriptor, this.#descriptor);
    links.set(this.#descriptor, this);
    ticking ??= setInterval(tick, tickMs);
  }

  static async open(port: number, onText: (text: string) => void): Promise<NarrowLink> {
    const link = new NarrowLink(port, onText);
    await link.#opened.promise;
    return link;
  }

  get closed(): Promise<number> {
    return this.#ended.promise;
  }

  send(text: string): void {
    this.#unsent.push(textFrame(text));
  }

  close(): void {
    this.abort();
  }

  hurry(): void {
    this.bytesPerTick = Infinity;
  }

  abort(): void {
    this.#end(1006);
  }

  /** Sends what the kernel takes. */
  flush(): void {
    for (let next; (next = this.#unsent[0]) !== undefined;) {
      const sent = send(this.#descriptor, next);
      if (sent < next.length) {
        this.#unsent[0] = next.subarray(sent);
        return;
      }
      this.#unsent.shift();
    }
  }

  /** Reads its share of what is there. */
  read(): void {
    for (let left = this.bytesPerTick; left > 0;) {
      const into = buffer.subarray(0, Math.min(left, buffer.length));
      const count = receive(this.#descriptor, into);
      // It was said to be ready: where nothing is, it has ended.
      if (count === 0) {
        if (left === this.bytesPerTick) this.#end(1006);
        return;
      }
      if (!this.#take(into.subarray(0, count))) return;
      left -= count;
      if (count < into.length) return;
    }
  }

  /** False when it is over. */
  #take(bytes: Uint8Array): boolean {
    try {
      for (const frame of this.#frames.take(bytes)) {
        if (frame.opcode === 1) this.#onText(new TextDecoder().decode(frame.payload));
        if (frame.opcode === 9) this.#unsent.push(encodeFrame(10, frame.payload));
        if (frame.opcode === 8) {
          this.#end(closeCode(frame));
          return false;
        }
      }
    } catch {
      this.#end(1006);
      return false;
    }
    if (this.#frames.isOpen) this.#opened.resolve();
    return true;
  }

  #end(code: number): void {
    if (!links.delete(this.#descriptor)) return;
    close(this.#descriptor);
    this.#opened.reject(new Error("Cannot upgrade: the connection ended"));
    this.#opened.promise.catch(() => {});
    this.#ended.resolve(code);
    if (links.size > 0) return;
    clearInterval(ticking);
    ticking = undefined;
  }
}
