/** The driver's connections: opened in batches, then read all together by one thread. */

import type { Dialect, Step } from "../wire.ts";
import { connectTcp, Poll, readBufferBytes, receive, send } from "./libc.ts";

/** How many handshakes are under way at a time: below the backlog of every listener. */
const batchSize = 100;
const patienceMs = 20_000;

/** The server does not speak the subprotocol that was asked for. */
export class NotOffered extends Error {}

export class Connections {
  /** What every read fills; its last byte stays free. */
  readonly buffer = new Uint8Array(readBufferBytes);
  readonly #into = this.buffer.subarray(0, readBufferBytes - 1);
  readonly #port: number;
  readonly #poll = new Poll();
  readonly #descriptors: number[] = [];
  readonly #decoder = new TextDecoder("latin1");

  constructor(port: number) {
    this.#port = port;
  }

  get size(): number {
    return this.#descriptors.length;
  }

  /** Opens `count` TCP connections; answers the number of the first one. */
  openTcp(count: number): number {
    const first = this.size;
    for (let opened = 0; opened < count; opened++) {
      const descriptor = connectTcp(this.#port);
      this.#poll.add(descriptor, this.size);
      this.#descriptors.push(descriptor);
    }
    return first;
  }

  /** Opens `count` WebSockets and takes each through `steps`; answers the number of the first one. */
  open(count: number, dialect: Dialect, steps: readonly Step[]): number {
    const first = this.size;
    while (this.size < first + count) {
      const from = this.openTcp(Math.min(batchSize, first + count - this.size));
      this.#exchange(from, { send: handshake(dialect), expect: "\r\n\r\n" }, (answer) => {
        if (!answer.startsWith("HTTP/1.1 101")) {
          throw new Error(`Cannot open WebSocket: ${answer.split("\r\n")[0]}`);
        }
        const { subprotocol } = dialect;
        const selected = /^sec-websocket-protocol: *(\S+)/im.exec(answer)?.[1];
        if (subprotocol && selected !== subprotocol) throw new NotOffered();
      });
      for (const step of steps) this.#exchange(from, step, () => {});
    }
    return first;
  }

  /** Sends what the kernel takes; answers how many bytes that was. */
  send(connection: number, bytes: Uint8Array<ArrayBuffer>): number {
    return send(this.#descriptors[connection]!, bytes);
  }

  /**
   * Waits for at most `milliseconds`, then reads each connection that has something once, and hands its number and the
   * number of bytes in the buffer on. Answers how many connections had something.
   */
  read(milliseconds: number, onRead: (connection: number, length: number) => void): number {
    const count = this.#poll.wait(milliseconds);
    for (let index = 0; index < count; index++) {
      const connection = this.#poll.ready(index);
      const length = receive(this.#descriptors[connection]!, this.#into);
      if (length === 0) throw new Error("The server closed a connection");
      onRead(connection, length);
    }
    return count;
  }

  /** The first `length` bytes of the buffer as text. */
  text(length: number): string {
    return this.#decoder.decode(this.buffer.subarray(0, length));
  }

  /** Sends the same on every connection from `from` on, and waits until each has answered with what is expected. */
  #exchange(from: number, { send, expect }: Step, onAnswer: (answer: string) => void): void {
    const answers = new Map<number, string>();
    for (let connection = from; connection < this.size; connection++) {
      answers.set(connection, "");
      if (this.send(connection, send as Uint8Array<ArrayBuffer>) !== send.length) {
        throw new Error("Cannot send: the server does not read");
      }
    }
    const deadline = performance.now() + patienceMs;
    while (answers.size > 0) {
      if (performance.now() > deadline) throw new Error(`Gave up waiting for ${expect}`);
      this.read(100, (connection, length) => {
        const before = answers.get(connection);
        if (before === undefined) return;
        const answer = before + this.text(length);
        if (answer.includes(expect)) {
          onAnswer(answer);
          answers.delete(connection);
        } else {
          answers.set(connection, answer);
        }
      });
    }
  }
}

function handshake({ path, subprotocol }: Dialect): Uint8Array<ArrayBuffer> {
  const lines = [
    `GET ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...(subprotocol ? [`Sec-WebSocket-Protocol: ${subprotocol}`] : []),
  ];
  return new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
}
