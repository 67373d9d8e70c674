/** Sockets of a flood, without a promise or an object for each: sent to, and drained, as fast as the kernel goes. */

import { close, connectTcp, readBufferBytes, receive, send } from "../bench/driver/libc.ts";
import { concat, encodeFrame, handshake } from "../frames.ts";

const buffer = new Uint8Array(readBufferBytes);
const encoder = new TextEncoder();

/** A frame with a command. */
export function commandFrame(command: unknown): Uint8Array<ArrayBuffer> {
  const text = typeof command === "string" ? command : JSON.stringify(command);
  return encodeFrame(1, encoder.encode(text));
}

/** The same bytes so many times. */
export function repeated(bytes: Uint8Array<ArrayBuffer>, times: number): Uint8Array<ArrayBuffer> {
  return concat(new Array(times).fill(bytes));
}

/** One connection of a flood. */
export class Flooder {
  #descriptor: number;
  readonly #port: number;
  /** What the kernel has not taken yet. */
  #rest: Uint8Array<ArrayBuffer> = new Uint8Array();
  #refused = 0;

  constructor(port: number, { isUpgraded = true } = {}) {
    this.#port = port;
    this.#descriptor = connectTcp(port);
    if (isUpgraded) send(this.#descriptor, handshake("/ws"));
  }

  /** Sends, as far as the kernel takes it. False when it takes nothing: the server does not read as fast. */
  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (this.#rest.length > 0) {
      this.#rest = this.#rest.subarray(send(this.#descriptor, this.#rest));
      if (this.#rest.length > 0) return this.#isBlocked();
    }
    const sent = send(this.#descriptor, bytes);
    if (sent < bytes.length) this.#rest = bytes.slice(sent);
    this.#refused = 0;
    return true;
  }

  /** Reads and forgets what has come. */
  drain(): void {
    while (receive(this.#descriptor, buffer) === buffer.length);
  }

  close(): void {
    close(this.#descriptor);
  }

  /** Connects again where the server has closed the connection: for then nothing is taken any more, ever. */
  #isBlocked(): false {
    if (++this.#refused > 2_000) {
      this.close();
      this.#descriptor = connectTcp(this.#port);
      send(this.#descriptor, handshake("/ws"));
      this.#rest = new Uint8Array();
      this.#refused = 0;
    }
    return false;
  }
}
