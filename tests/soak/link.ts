/** Connections of a soak's clients, by whatever means. */

import { encodeFrame, handshake, type RawFrame, takeFrame } from "../frames.ts";

/** One open WebSocket connection. */
export interface Link {
  /** Sends one text frame. */
  send(text: string): void;
  /** Says goodbye. */
  close(): void;
  /** Breaks off. */
  abort(): void;
  /** Is slow no longer, where it was. */
  hurry?(): void;
  /** How it ended: the code of the server's close frame, or 1006 when there was none. */
  readonly closed: Promise<number>;
}

/** Opens a connection, from which each text frame goes to `onText`. Rejects when it cannot be opened. */
export type OpenLink = (onText: (text: string) => void) => Promise<Link>;

/** The path and subprotocol of a WebSocket, as the bytes that ask for it. */
export const opening = handshake("/ws");

/** What a server sends to a WebSocket client, put together from the pieces in which it arrives. */
export class FrameStream {
  #unread = new Uint8Array();
  #isOpen = false;

  /** Whether the handshake is over. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The frames that are whole now. Throws when the handshake is refused. */
  take(bytes: Uint8Array): RawFrame[] {
    const joined = new Uint8Array(this.#unread.length + bytes.length);
    joined.set(this.#unread);
    joined.set(bytes, this.#unread.length);
    this.#unread = joined;
    if (!this.#isOpen && !this.#takeHead()) return [];
    const frames: RawFrame[] = [];
    let at = 0;
    for (let taken; (taken = takeFrame(this.#unread.subarray(at))) !== undefined;) {
      at += taken.size;
      frames.push(taken.frame);
    }
    this.#unread = this.#unread.slice(at);
    return frames;
  }

  #takeHead(): boolean {
    const head = new TextDecoder().decode(this.#unread);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return false;
    if (!head.startsWith("HTTP/1.1 101")) throw new Error(`Cannot upgrade: ${head.slice(0, 80)}`);
    this.#unread = this.#unread.slice(end + 4);
    return this.#isOpen = true;
  }
}

/** The code of a close frame. */
export function closeCode({ payload }: RawFrame): number {
  return payload.length < 2 ? 1005 : (payload[0]! << 8) | payload[1]!;
}

export function closeFrame(code: number): Uint8Array<ArrayBuffer> {
  return encodeFrame(8, new Uint8Array([code >> 8, code & 255]));
}

export function textFrame(text: string): Uint8Array<ArrayBuffer> {
  return encodeFrame(1, new TextEncoder().encode(text));
}
