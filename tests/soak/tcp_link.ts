/** A connection on Deno's TCP, that reads all the time. */

import { encodeFrame } from "../frames.ts";
import { closeCode, closeFrame, FrameStream, type Link, opening, textFrame } from "./link.ts";

/** How long a handshake may take, and how long a goodbye waits for its answer. */
const patienceMs = 5_000;

export class TcpLink implements Link {
  readonly closed: Promise<number>;
  readonly #connection: Deno.TcpConn;
  readonly #onText: (text: string) => void;
  readonly #frames = new FrameStream();
  readonly #opened = Promise.withResolvers<void>();
  #timer: ReturnType<typeof setTimeout>;
  #writing: Promise<unknown> = Promise.resolve();
  #isOver = false;

  private constructor(connection: Deno.TcpConn, onText: (text: string) => void) {
    this.#connection = connection;
    this.#onText = onText;
    this.#timer = setTimeout(() => this.abort(), patienceMs);
    this.closed = this.#readAll();
  }

  static async open(port: number, onText: (text: string) => void): Promise<TcpLink> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true);
    const link = new TcpLink(connection, onText);
    link.sendBytes(opening);
    await link.#opened.promise;
    clearTimeout(link.#timer);
    return link;
  }

  send(text: string): void {
    this.sendBytes(textFrame(text));
  }

  /** Sends any bytes. */
  sendBytes(bytes: Uint8Array<ArrayBuffer>): void {
    this.#writing = this.#writing.then(async () => {
      for (let sent = 0; sent < bytes.length && !this.#isOver;) {
        sent += await this.#connection.write(bytes.subarray(sent));
      }
    }).catch(() => this.abort());
  }

  close(): void {
    this.sendBytes(closeFrame(1000));
    if (!this.#isOver) this.#timer = setTimeout(() => this.abort(), patienceMs);
  }

  abort(): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection.close();
  }

  async #readAll(): Promise<number> {
    const buffer = new Uint8Array(65_536);
    let code = 1006;
    try {
      for (let count; code === 1006 && (count = await this.#connection.read(buffer)) !== null;) {
        for (const frame of this.#frames.take(buffer.subarray(0, count))) {
          if (frame.opcode === 1) this.#onText(new TextDecoder().decode(frame.payload));
          if (frame.opcode === 9) this.sendBytes(encodeFrame(10, frame.payload));
          if (frame.opcode === 8) code = closeCode(frame);
        }
        if (this.#frames.isOpen) this.#opened.resolve();
      }
    } catch (thrown) {
      this.#opened.reject(thrown);
    }
    this.#opened.reject(new Error("Cannot upgrade: the connection ended"));
    this.#opened.promise.catch(() => {});
    if (code !== 1006) {
      this.sendBytes(closeFrame(1000));
      await this.#writing;
    }
    this.abort();
    await this.#writing;
    return code;
  }
}
