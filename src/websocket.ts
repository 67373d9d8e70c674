/** WebSocket connections: the handshake, the frames, the heartbeat, and the end of all of them. */

import { Buffer } from "node:buffer";
import type { Admission } from "./admission.ts";
import type { Broker } from "./broker.ts";
import { type Closing, closings, RequestError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import { describeThrown, type Log } from "./log.ts";
import { type Connection, Drainer, Outbox } from "./outbox.ts";
import { RequestPace } from "./pace.ts";
import { batchSubprotocol, encode, timestamp } from "./protocol.ts";
import { Session } from "./session.ts";
import type { Clock } from "./token_bucket.ts";
import type { Turn } from "./turn.ts";
import { TurnConnection } from "./turn_connection.ts";

/** How long to wait before looking again at a socket that has no room: short beside a network's round trip. */
const drainIntervalMs = 5;

/** To how many connections a heartbeat goes in one turn of the loop: some milliseconds of it. */
const beatsAtOnce = 200;

/** The limits of every connection. */
export interface SocketsOptions {
  /** The longest text frame that is read, in UTF-8 bytes; a longer one closes the connection with 1009. */
  readonly maxMessageBytes: number;
  /** How many bytes a socket may hold unwritten before events are queued. */
  readonly maxBufferedBytes: number;
  /** How many bytes of answers may be queued before the connection is closed with 4008. */
  readonly maxControlBacklogBytes: number;
  /** How deep a payload may nest. */
  readonly maxJsonDepth: number;
  readonly maxSubscriptionsPerConnection: number;
  /** How many requests a connection may make in a second; 0 for any number. */
  readonly maxRequestsPerSecond: number;
  readonly heartbeatIntervalSeconds: number;
  /** After how long without a sign of life a peer is taken for dead. */
  readonly idleTimeoutSeconds: number;
  /** Counts what is refused. */
  readonly limits: Limits;
  readonly admission: Admission;
  readonly clock: Clock;
}

/** Throws what is wrong with a request to open a WebSocket (RFC 6455, section 4.2.1), if anything. */
export function checkHandshake({ method, headers }: Request): void {
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw handshakeError(426, 'this address speaks WebSocket: the header "Upgrade" must say so');
  }
  // Hono answers HEAD by the route of GET.
  if (method !== "GET") throw handshakeError(400, "the method must be GET");
  if (!hasToken(headers.get("connection"), "upgrade")) {
    throw handshakeError(400, 'the header "Connection" must contain "Upgrade"');
  }
  if (headers.get("sec-websocket-version") !== "13") {
    throw handshakeError(426, 'the header "Sec-WebSocket-Version" must be 13');
  }
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "")) {
    throw handshakeError(400, 'the header "Sec-WebSocket-Key" must be 16 bytes in base64');
  }
}

function handshakeError(status: 400 | 426, what: string): RequestError {
  const headers = { upgrade: "websocket", "sec-websocket-version": "13" };
  const body = { code: "BAD_REQUEST", message: `Cannot open WebSocket: ${what}` } as const;
  return new RequestError(body, status, status === 426 ? headers : {});
}

/**
 * Whether a client offers to take, and may send, several messages in one frame. As the runtime reads the list, which
 * throws when it is to agree to what it does not find there; a list without a blank after each comma is one name to it.
 */
function offersBatches({ headers }: Request): boolean {
  return (headers.get("sec-websocket-protocol") ?? "").split(", ").includes(batchSubprotocol);
}

function hasToken(header: string | null, token: string): boolean {
  return (header ?? "").toLowerCase().split(",").some((part) => part.trim() === token);
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
  /** The rest of a heartbeat. */
  #beating: ReturnType<typeof setTimeout> | undefined;

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

  /**
   * Turns a request that {@link checkHandshake} found right into a connection with its session, counted under the
   * client's address. Throws what to answer when there is no place for it.
   */
  upgrade(request: Request, address: string): Response {
    const { idleTimeoutSeconds, limits, admission, clock, maxRequestsPerSecond } = this.#options;
    const isMerging = offersBatches(request);
    const place = admission.admit(address);
    let upgraded: Deno.WebSocketUpgrade;
    try {
      upgraded = Deno.upgradeWebSocket(request, {
        idleTimeout: idleTimeoutSeconds,
        ...(isMerging && { protocol: batchSubprotocol }),
      });
    } catch (thrown) {
      admission.leave(place);
      throw thrown;
    }
    const { socket, response } = upgraded;
    const inner = new SocketConnection(socket, () => {
      admission.evict(place);
      this.#retire(socket, session);
    });
    const connection = new TurnConnection(inner, this.#turn, { isMerging });
    const outbox = new Outbox(connection, this.#drainer, {
      ...this.#options,
      onControlBacklogFull: () => limits.count("MAX_CONTROL_BACKLOG_BYTES"),
      stallTimeoutMs: 2 * idleTimeoutSeconds * 1000,
    });
    const session: Session = new Session(this.#broker, outbox, this.#log, {
      ...this.#options,
      isMerging,
      pace: maxRequestsPerSecond > 0 ? new RequestPace(maxRequestsPerSecond, clock) : undefined,
    });
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      admission.open(place);
      this.#open.set(socket, session);
      this.#log.debug("connection opened", { connections: this.#open.size });
    };
    socket.onmessage = ({ data }) => this.#guard(outbox, () => this.#receive(session, data));
    // Both may come, twice, and in either order.
    socket.onclose = ({ code }) => {
      admission.leave(place);
      this.#forget(socket, session, code);
    };
    socket.onerror = () => {
      admission.leave(place);
      this.#forget(socket, session, 1006);
    };
    return response;
  }

  /**
   * Ends every session as the contract's shutdown says: subscriptions end, queues are flushed, then 1001. Resolves when
   * all connections are closed, or at the deadline (as of `performance.now()`), stalled peers or not.
   */
  async drain(deadlineMs: number): Promise<void> {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#beating);
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
      this.#options.limits.count("MAX_MESSAGE_BYTES");
      session.refuse({
        code: "PAYLOAD_TOO_LARGE",
        message:
          `Cannot read frame: it must be at most ${this.#options.maxMessageBytes} bytes (MAX_MESSAGE_BYTES)`,
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

  /** Ten thousand at once would keep everybody else waiting for as long as all those writes take. */
  #beat(): void {
    const frame = encode({ type: "info", msg: "ping", ts: timestamp() });
    const sessions = this.#open.values();
    const beatSome = () => {
      let left = beatsAtOnce;
      for (; left > 0; left--) {
        const { value: session, done } = sessions.next();
        if (done) return;
        this.#guard(session.outlet, () => session.outlet.control(frame));
      }
      this.#beating = setTimeout(beatSome, 0);
    };
    clearTimeout(this.#beating);
    beatSome();
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
