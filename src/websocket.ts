/** WebSocket connections: the handshake, the frames, the heartbeat, and the end of all of them. */

import { Buffer } from "node:buffer";
import type { Broker } from "./broker.ts";
import { type Closing, closings } from "./errors.ts";
import { chooseSubprotocol, withSpacedSubprotocols } from "./handshake.ts";
import { describeThrown, type Log } from "./log.ts";
import { type Connection, Drainer, Outbox } from "./outbox.ts";
import { batchSubprotocol, encode, timestamp } from "./protocol.ts";
import { Session } from "./session.ts";
import type { SessionAccess } from "./session_access.ts";
import type { Turn } from "./turn.ts";
import { TurnConnection } from "./turn_connection.ts";

/** How long to wait before looking again at a socket that has no room: short beside a network's round trip. */
const drainIntervalMs = 5;

/** The limits of every connection. */
export interface SocketsOptions {
  /** The longest text frame that is read, in UTF-8 bytes; a longer one closes the connection with 1009. */
  readonly maxMessageBytes: number;
  /** How many bytes a socket may hold unwritten before events are queued. */
  readonly maxBufferedBytes: number;
  /** How many bytes of answers may be queued before the connection is closed with 4008. */
  readonly maxControlBacklogBytes: number;
  readonly heartbeatIntervalSeconds: number;
  /** After how long without a sign of life a peer is taken for dead. */
  readonly idleTimeoutSeconds: number;
}

/** All WebSocket connections of this process. */
export class Sockets {
  readonly #broker: Broker;
  readonly #turn: Turn;
  readonly #log: Log;
  readonly #options: SocketsOptions;
  readonly #drainer: Drainer;
  readonly #open = new Map<WebSocket, Session>();
  /** Told to close, and not yet gone: a peer that never reads can stay here for as long as it lives. */
  readonly #closing = new Set<WebSocket>();
  readonly #heartbeat: ReturnType<typeof setInterval>;

  constructor(broker: Broker, turn: Turn, log: Log, options: SocketsOptions) {
    this.#broker = broker;
    this.#turn = turn;
    this.#log = log;
    this.#options = options;
    this.#drainer = new Drainer(
      drainIntervalMs,
      (thrown) => log.error("sending failed", describeThrown(thrown)),
    );
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatIntervalSeconds * 1000);
  }

  /** How many connections are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Turns a request that `checkHandshake` found right into a connection with its session. */
  upgrade(request: Request, access?: SessionAccess): Response {
    const { idleTimeoutSeconds, ...limits } = this.#options;
    const protocol = chooseSubprotocol(request);
    const isMerging = protocol === batchSubprotocol;
    const { socket, response } = Deno.upgradeWebSocket(withSpacedSubprotocols(request), {
      idleTimeout: idleTimeoutSeconds,
      ...(protocol !== undefined && { protocol }),
    });
    const inner = new SocketConnection(socket, () => this.#retire(socket, session));
    const connection = new TurnConnection(inner, this.#turn, { isMerging });
    const outbox = new Outbox(connection, this.#drainer, {
      ...limits,
      stallTimeoutMs: 2 * idleTimeoutSeconds * 1000,
    });
    const session: Session = new Session(this.#broker, outbox, this.#log, {
      isMerging,
      maxInboxBytes: limits.maxControlBacklogBytes,
      access,
    });
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#open.set(socket, session);
      this.#log.debug("connection opened", { connections: this.#open.size });
      this.#guard(outbox, () => session.begin());
    };
    socket.onmessage = ({ data }) => this.#guard(outbox, () => this.#receive(session, data));
    // Both may come, twice, and in either order.
    socket.onclose = ({ code }) => this.#forget(socket, session, code);
    socket.onerror = () => this.#forget(socket, session, 1006);
    return response;
  }

  /**
   * Ends every session as the contract's shutdown says: subscriptions end, queues are flushed, then 1001. Resolves when
   * all connections are closed, or at the deadline (as of `performance.now()`), stalled peers or not.
   */
  async drain(deadlineMs: number): Promise<void> {
    clearInterval(this.#heartbeat);
    for (const session of this.#open.values()) {
      this.#guard(session.outlet, () => {
        session.drain();
        session.inform({ msg: "shutdown", reconnect_after_ms: 100 + Math.random() * 1900 | 0 });
      });
    }
    while (this.#open.size + this.#closing.size > 0 && performance.now() < deadlineMs) {
      for (const { outlet } of this.#open.values()) {
        if (outlet.isFlushed) outlet.close(closings.shuttingDown);
      }
      await new Promise((resolve) => setTimeout(resolve, drainIntervalMs));
    }
    for (const { outlet } of this.#open.values()) outlet.close(closings.shuttingDown);
  }

  #receive(session: Session, data: unknown): void {
    if (typeof data !== "string") {
      session.refuse({
        code: "BAD_REQUEST",
        message: "Cannot read frame: it must be a text frame",
      });
      session.outlet.close(closings.binaryFrame);
    } else if (isLonger(data, this.#options.maxMessageBytes)) {
      session.refuse({
        code: "PAYLOAD_TOO_LARGE",
        message: `Cannot read frame: it must be at most ${this.#options.maxMessageBytes} bytes`,
      });
      session.outlet.close(closings.messageTooLarge);
    } else {
      session.receive(data);
    }
  }

  /** Lets go of a session whose connection was told to close. */
  #retire(socket: WebSocket, session: Session): void {
    session.close();
    if (this.#open.delete(socket)) this.#closing.add(socket);
  }

  /** The connection is gone. */
  #forget(socket: WebSocket, session: Session, code: number): void {
    session.close();
    const wasOpen = this.#open.delete(socket);
    const wasClosing = this.#closing.delete(socket);
    if (wasOpen || wasClosing) this.#log.debug("connection closed", { code });
  }

  #beat(): void {
    const frame = encode({ type: "info", msg: "ping", ts: timestamp() });
    for (const { outlet } of this.#open.values()) this.#guard(outlet, () => outlet.control(frame));
  }

  /** What is thrown here would end the process: it ends this one connection instead. */
  #guard(outbox: Outbox, job: () => void): void {
    try {
      job();
    } catch (thrown) {
      this.#log.error("connection failed", describeThrown(thrown));
      outbox.close(closings.bug);
    }
  }
}

/** Whether a text has more than `maxBytes` bytes in UTF-8; counts them only when the length alone does not tell. */
function isLonger(text: string, maxBytes: number): boolean {
  if (text.length > maxBytes) return true;
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

class SocketConnection implements Connection {
  readonly #socket: WebSocket;
  readonly #onClose: () => void;

  constructor(socket: WebSocket, onClose: () => void) {
    this.#socket = socket;
    this.#onClose = onClose;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  close({ code, reason }: Closing): void {
    this.#socket.close(code, reason);
    this.#onClose();
  }
}
