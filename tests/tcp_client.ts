/**
 * A light WebSocket client on Deno's TCP: it sends each frame in one piece (Deno's own client sends larger ones in two,
 * and then waits 40 ms for an acknowledgement), can break off, and a thousand of them are no burden.
 */

import { encodeFrame, handshake, takeFrame } from "./frames.ts";
import type { Received } from "./harness.ts";

export class TcpClient implements AsyncDisposable {
  /** All messages received, in order. */
  readonly received: Received[] = [];
  /** How the connection ended: 1006 when without a close frame. */
  readonly closed: Promise<number>;
  readonly #connection: Deno.TcpConn;
  #sending: Promise<unknown> = Promise.resolve();
  #unread = new Uint8Array();
  #wake = () => {};
  #isOpen = false;
  #ended = false;
  #pings = 0;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    this.closed = this.#readAll();
  }

  static async connect(
    port: number,
    path = "/ws",
    protocol = "",
    headers: Readonly<Record<string, string>> = {},
  ): Promise<TcpClient> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true);
    const client = new TcpClient(connection);
    await client.#write(handshake(path, protocol, headers));
    await client.until(() => client.#isOpen);
    if (!client.#isOpen) throw new Error("Cannot upgrade");
    return client;
  }

  send(message: unknown): void {
    const text = typeof message === "string" ? message : JSON.stringify(message);
    this.sendFrame(encodeFrame(1, new TextEncoder().encode(text)));
  }

  /** Sends a frame that is encoded already. */
  sendFrame(frame: Uint8Array<ArrayBuffer>): void {
    void this.#write(frame);
  }

  /** Waits until all that was sent before is answered; false when the connection ended first. */
  async fence(): Promise<boolean> {
    const request_id = `fence-${++this.#pings}`;
    const from = this.received.length;
    this.send({ type: "ping", request_id });
    const isHere = () =>
      this.received.slice(from).some((message) => message.request_id === request_id);
    await this.until(isHere);
    return isHere();
  }

  /** Waits until something holds, looking whenever something is received; also ends with the connection. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds() && !this.#ended) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  /** Says goodbye and waits for the end. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#write(encodeFrame(8, new Uint8Array([0x03, 0xe8])));
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Breaks off. */
  async abort(): Promise<void> {
    this.#end();
    await this.closed;
  }

  async #write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await (this.#sending = this.#sending.then(async () => {
      for (let sent = 0; sent < bytes.length && !this.#ended;) {
        sent += await this.#connection.write(bytes.subarray(sent));
      }
    }).catch(() => this.#end()));
  }

  async #readAll(): Promise<number> {
    const buffer = new Uint8Array(65_536);
    let code = 1006;
    try {
      for (let count; (count = await this.#connection.read(buffer)) !== null;) {
        const joined = new Uint8Array(this.#unread.length + count);
        joined.set(this.#unread);
        joined.set(buffer.subarray(0, count), this.#unread.length);
        this.#unread = joined;
        if (!this.#isOpen && !this.#takeHead()) continue;
        code = this.#takeFrames() ?? code;
        this.#wake();
        if (code !== 1006) break;
      }
    } catch {
      // Broken off, by either side.
    }
    if (code !== 1006) await this.#write(encodeFrame(8, new Uint8Array([code >> 8, code & 255])));
    this.#end();
    return code;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connection.close();
    this.#wake();
  }

  #takeHead(): boolean {
    const head = new TextDecoder().decode(this.#unread);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return false;
    if (!head.startsWith("HTTP/1.1 101")) throw new Error(`Cannot upgrade: ${head}`);
    this.#unread = this.#unread.slice(end + 4);
    this.#isOpen = true;
    return true;
  }

  /** Takes all whole frames. Answers the code of a close frame. */
  #takeFrames(): number | undefined {
    let at = 0;
    for (let taken; (taken = takeFrame(this.#unread.subarray(at))) !== undefined;) {
      at += taken.size;
      const { opcode, payload } = taken.frame;
      if (opcode === 8) return payload.length < 2 ? 1005 : (payload[0]! << 8) | payload[1]!;
      if (opcode === 9) void this.#write(encodeFrame(10, payload));
      if (opcode !== 1) continue;
      const value = JSON.parse(new TextDecoder().decode(payload));
      this.received.push(...(Array.isArray(value) ? value : [value]));
    }
    this.#unread = this.#unread.slice(at);
    return undefined;
  }
}
