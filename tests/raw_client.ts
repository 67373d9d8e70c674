/**
 * A WebSocket client made of a bare TCP socket, for what a good client never does: it reads only when told to, with a
 * small receive buffer, and sends any bytes. Linux only: the buffer's size is set through libc.
 */

import { encodeFrame, handshake, type RawFrame, takeFrame } from "./frames.ts";
import type { Received } from "./harness.ts";

const libc = () =>
  Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize", nonblocking: true },
    recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize", nonblocking: true },
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  });

export class RawClient implements Disposable {
  readonly #libc = libc();
  readonly #descriptor: number;
  #unread = new Uint8Array();
  #isReset = false;

  private constructor(port: number, receiveBufferBytes: number) {
    const { symbols } = this.#libc;
    this.#descriptor = symbols.socket(2, /* AF_INET */ 1, /* SOCK_STREAM */ 0);
    const size = new Uint8Array(new Int32Array([receiveBufferBytes]).buffer);
    symbols.setsockopt(this.#descriptor, 1, /* SOL_SOCKET */ 8, /* SO_RCVBUF */ size, 4);
    const address = new Uint8Array([
      2,
      0,
      port >> 8,
      port & 255,
      127,
      0,
      0,
      1,
      ...new Array(8).fill(0),
    ]);
    if (symbols.connect(this.#descriptor, address, 16) !== 0) throw new Error("Cannot connect");
  }

  /** Connects, shakes hands, and from then on reads nothing until {@link read} is called. */
  static async connect(port: number, receiveBufferBytes = 4096): Promise<RawClient> {
    const client = new RawClient(port, receiveBufferBytes);
    await client.sendBytes(handshake("/ws"));
    for (;;) {
      const head = new TextDecoder().decode(client.#unread);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) {
        await client.#receive();
        continue;
      }
      if (!head.startsWith("HTTP/1.1 101")) {
        client[Symbol.dispose]();
        throw new Error(`Cannot upgrade: ${head}`);
      }
      client.#unread = client.#unread.slice(end + 4);
      return client;
    }
  }

  /** Connects, sends, and breaks off with a reset before any answer can come. */
  static async breakOff(port: number, bytes: Uint8Array): Promise<void> {
    using client = new RawClient(port, 4096);
    // Without lingering, what is closed is reset.
    const linger = new Uint8Array(new Int32Array([1, 0]).buffer);
    client.#libc.symbols.setsockopt(client.#descriptor, 1, /* SO_LINGER */ 13, linger, 8);
    await client.sendBytes(bytes);
    client.#isReset = true;
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      const rest = bytes.slice(sent);
      const count = await this.#libc.symbols.send(
        this.#descriptor,
        rest,
        BigInt(rest.length),
        0x4000,
      );
      if (count < 0) throw new Error("Cannot send: connection lost");
      sent += Number(count);
    }
  }

  async sendFrame(opcode: number, payload: Uint8Array): Promise<void> {
    await this.sendBytes(encodeFrame(opcode, payload));
  }

  async sendJson(value: unknown): Promise<void> {
    await this.sendFrame(1, new TextEncoder().encode(JSON.stringify(value)));
  }

  /** The next frame; `undefined` when the connection has ended. */
  async read(): Promise<RawFrame | undefined> {
    for (;;) {
      const frame = this.#takeFrame();
      if (frame) return frame;
      if (!await this.#receive()) return undefined;
    }
  }

  /** The next text frame, read as JSON; `undefined` when the connection ends first. Answers no pings. */
  async readJson(): Promise<Received | undefined> {
    for (;;) {
      const frame = await this.read();
      if (!frame || frame.opcode === 8) return undefined;
      if (frame.opcode === 1) return JSON.parse(new TextDecoder().decode(frame.payload));
    }
  }

  /** All messages up to the connection's end, read as JSON, and how it ended: 1006 when without a close frame. */
  async readToEnd(): Promise<{ messages: Received[]; code: number; reason: string }> {
    const text = new TextDecoder();
    const messages: Received[] = [];
    for (let frame; (frame = await this.read()) !== undefined;) {
      if (frame.opcode === 1) messages.push(JSON.parse(text.decode(frame.payload)));
      if (frame.opcode !== 8) continue;
      const code = new DataView(frame.payload.buffer).getUint16(0);
      return { messages, code, reason: text.decode(frame.payload.slice(2)) };
    }
    return { messages, code: 1006, reason: "" };
  }

  /** Ends the connection in both directions, and with it what is under way. */
  hangUp(): void {
    this.#libc.symbols.shutdown(this.#descriptor, 2);
  }

  [Symbol.dispose](): void {
    if (!this.#isReset) this.hangUp();
    this.#libc.symbols.close(this.#descriptor);
    this.#libc.close();
  }

  async #receive(): Promise<boolean> {
    const buffer = new Uint8Array(65536);
    const count = Number(await this.#libc.symbols.recv(this.#descriptor, buffer, 65536n, 0));
    if (count <= 0) return false;
    const joined = new Uint8Array(this.#unread.length + count);
    joined.set(this.#unread);
    joined.set(buffer.subarray(0, count), this.#unread.length);
    this.#unread = joined;
    return true;
  }

  #takeFrame(): RawFrame | undefined {
    const taken = takeFrame(this.#unread);
    if (taken) this.#unread = this.#unread.slice(taken.size);
    return taken?.frame;
  }
}
