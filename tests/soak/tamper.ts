/** Alters one event in a server's stream of frames, as a server with a fault would: for testing who looks for that. */

import { concat, takeFrame } from "../frames.ts";

export type TamperKind = "drop" | "double" | "swap";

/** How many events go through untouched before each one that does not. */
const interval = 40;

export class Tamper {
  readonly #kind: TamperKind;
  #unread = new Uint8Array();
  #isOpen = false;
  #events = 0;
  #kept: Uint8Array | undefined;

  constructor(kind: TamperKind) {
    this.#kind = kind;
  }

  /** Takes what the server sent; answers what the client gets. */
  change(bytes: Uint8Array): Uint8Array {
    this.#unread = concat([this.#unread, bytes]);
    const out: Uint8Array[] = [];
    if (!this.#isOpen) {
      const end = new TextDecoder("latin1").decode(this.#unread).indexOf("\r\n\r\n");
      if (end < 0) return concat(out);
      out.push(this.#unread.slice(0, end + 4));
      this.#unread = this.#unread.slice(end + 4);
      this.#isOpen = true;
    }
    for (let taken; (taken = takeFrame(this.#unread)) !== undefined;) {
      const frame = this.#unread.slice(0, taken.size);
      this.#unread = this.#unread.slice(taken.size);
      out.push(...this.#alter(frame, taken.frame.payload));
    }
    return concat(out);
  }

  #alter(frame: Uint8Array, payload: Uint8Array): Uint8Array[] {
    const isEvent = new TextDecoder().decode(payload.subarray(0, 15)).startsWith('{"type":"event"');
    if (!isEvent) return [frame];
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept) return [frame, kept];
    if (++this.#events % interval !== 0) return [frame];
    if (this.#kind === "double") return [frame, frame];
    if (this.#kind === "swap") this.#kept = frame;
    return [];
  }
}
