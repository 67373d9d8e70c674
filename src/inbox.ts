/** What a client sends while an earlier request of it is being worked on. */

import { Deque } from "@std/data-structures/deque";
import type { Command, Refusal } from "./protocol.ts";

interface Entry {
  readonly command: Command | Refusal;
  readonly bytes: number;
}

/** Commands in the order in which they came, within a bound. */
export class Inbox {
  readonly #maxBytes: number;
  /** Made when it is needed: most clients never wait. */
  #entries: Deque<Entry> | undefined;
  #bytes = 0;

  /** `maxBytes` is how much of what came may wait, as it came. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds a command that took so many bytes. False when that is too much: then nothing waits any more. */
  push(command: Command | Refusal, bytes: number): boolean {
    this.#entries ??= new Deque();
    this.#entries.pushBack({ command, bytes });
    this.#bytes += bytes;
    if (this.#bytes <= this.#maxBytes) return true;
    this.#entries.clear();
    this.#bytes = 0;
    return false;
  }

  /** Takes the command that came first, if one waits. */
  shift(): Command | Refusal | undefined {
    const first = this.#entries?.popFront();
    if (first !== undefined) this.#bytes -= first.bytes;
    return first?.command;
  }
}
