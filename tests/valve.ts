/**
 * Stalls the server's side of a chosen connection, as a peer with a full receive buffer does, but at once and without
 * megabytes in the kernel: what the server sends is held and counted as buffered until the valve is opened.
 * For servers in this process: it wraps the runtime's WebSocket.
 */

/** What a stalled connection counts as buffered: more than any setting of a test allows. */
const full = 100_000_000;

interface Held {
  readonly frames: string[];
  bytes: number;
}

export class Valves implements Disposable {
  readonly #upgrade = Deno.upgradeWebSocket;
  readonly #send = WebSocket.prototype.send;
  readonly #bufferedAmount = Object.getOwnPropertyDescriptor(
    WebSocket.prototype,
    "bufferedAmount",
  )!;
  /** The server's sockets, by the `valve` in the query of their request. */
  readonly #sockets = new Map<string, WebSocket>();
  readonly #held = new Map<WebSocket, Held>();

  constructor() {
    const { prototype } = WebSocket;
    Deno.upgradeWebSocket = (request, options) => {
      const upgrade = this.#upgrade(request, options);
      const name = new URL(request.url).searchParams.get("valve");
      if (name) this.#sockets.set(name, upgrade.socket);
      return upgrade;
    };
    const [held, send, bufferedAmount] = [this.#held, this.#send, this.#bufferedAmount];
    prototype.send = function (this: WebSocket, data: string) {
      const waiting = held.get(this);
      if (!waiting) return send.call(this, data as never);
      waiting.frames.push(data);
      waiting.bytes += data.length;
    } as typeof prototype.send;
    Object.defineProperty(prototype, "bufferedAmount", {
      ...bufferedAmount,
      get(this: WebSocket) {
        return held.get(this)?.bytes ?? bufferedAmount.get!.call(this);
      },
    });
  }

  close(name: string): void {
    this.#held.set(this.#sockets.get(name)!, { frames: [], bytes: full });
  }

  open(name: string): void {
    const socket = this.#sockets.get(name)!;
    const waiting = this.#held.get(socket);
    this.#held.delete(socket);
    for (const frame of waiting?.frames ?? []) this.#send.call(socket, frame);
  }

  /** Whether the server has told the connection to close, or it has ended. */
  isEnding(name: string): boolean {
    return this.#sockets.get(name)!.readyState >= WebSocket.CLOSING;
  }

  /** Resolves when the server knows that the connection has ended. */
  async ended(name: string): Promise<void> {
    const socket = this.#sockets.get(name)!;
    this.#held.delete(socket);
    this.#sockets.delete(name);
    if (socket.readyState === WebSocket.CLOSED) return;
    await new Promise((resolve) => socket.addEventListener("close", resolve, { once: true }));
  }

  [Symbol.dispose](): void {
    Deno.upgradeWebSocket = this.#upgrade;
    WebSocket.prototype.send = this.#send;
    Object.defineProperty(WebSocket.prototype, "bufferedAmount", this.#bufferedAmount);
  }
}
