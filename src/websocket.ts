/** WebSocket connections: the handshake, the frames, the heartbeat, and the end of all of them. */

import { Buffer } from "node:buffer";
import type { Admission } from "./admission.ts";
import type { Broker } from "./broker.ts";
import { type Closing, closings } from "./errors.ts";
import { agreeOn, chooseSubprotocol } from "./handshake.ts";
import type { Limits } from "./limits.ts";
import { describeThrown, type Log } from "./log.ts";
import { type Connection, Drainer, Outbox, type OutboxOptions } from "./outbox.ts";
import { RequestPace } from "./pace.ts";
import { batchSubprotocol, encode, timestamp } from "./protocol.ts";
import { Session } from "./session.ts";
import type { SessionAccess } from "./session_access.ts";
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

/** Who opens a connection. */
export interface SocketClient {
  /** What the connection is counted under. */
  readonly address: string;
  /** What the client may do; everything when not given. */
  readonly access?: SessionAccess;
}

/** All WebSocket connections of this process. */
export class Sockets {
  readonly #broker: Broker;
  readonly #turn: Turn;
  readonly #log: Log;
  readonly #options: SocketsOptions;
  readonly #outboxOptions: OutboxOptions;
  readonly #drainer: Drainer;
  readonly #open = new Map<WebSocket, Session>();
  readonly #heartbeat: ReturnType<typeof setInterval>;
  /** The rest of a heartbeat. */
  #beating: ReturnType<typeof setTimeout> | undefined;

  constructor(broker: Broker, turn: Turn, log: Log, options: SocketsOptions) {
    this.#broker = broker;
    this.#turn = turn;
    this.#log = log;
    this.#options = options;
    this.#outboxOptions = {
      maxBufferedBytes: options.maxBufferedBytes,
      maxControlBacklogBytes: options.maxControlBacklogBytes,
      stallTimeoutMs: 2 * options.idleTimeoutSeconds * 1000,
      onControlBacklogFull: () => options.limits.count("MAX_CONTROL_BACKLOG_BYTES"),
    };
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
   * Turns a request that `checkHandshake` found right into a connection with its session. Throws what to answer when
   * there is no place for it.
   */
  upgrade(request: Request, { address, access }: SocketClient): Response {
    const { idleTimeoutSeconds, admission, clock, maxRequestsPerSecond } = this.#options;
    const protocol = chooseSubprotocol(request);
    const isMerging = protocol === batchSubprotocol;
    const place = admission.admit(address);
    let upgraded: Deno.WebSocketUpgrade;
    try {
      upgraded = Deno.upgradeWebSocket(
        protocol === undefined ? request : agreeOn(request, protocol),
        { idleTimeout: idleTimeoutSeconds, ...(protocol !== undefined && { protocol }) },
      );
    } catch (thrown) {
      admission.leave(place);
      throw thrown;
    }
    const { socket, response } = upgraded;
    const inner = new SocketConnection(socket, () => {
      admission.evict(place);
      this.#forget(socket, session);
    });
    const connection = new TurnConnection(inner, this.#turn, { isMerging });
    const outbox = new Outbox(connection, this.#drainer, this.#outboxOptions);
    const session: Session = new Session(this.#broker, outbox, this.#log, {
      ...this.#options,
      isMerging,
      access,
      pace: maxRequestsPerSecond > 0 ? new RequestPace(maxRequestsPerSecond, clock) : undefined,
    });
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      admission.open(place);
      this.#open.set(socket, session);
      this.#log.debug("connection opened", { connections: this.#open.size });
      this.#guard(outbox, () => session.begin());
    };
    socket.onmessage = ({ data }) => this.#guard(outbox, () => this.#receive(session, data));
    // Both may come, twice, and in either order.
    const gone = (code: number) => {
      if (place.state === "open" || place.state === "evicted") {
        this.#log.debug("connection closed", { code });
      }
      admission.leave(place);
      this.#forget(socket, session);
    };
    socket.onclose = ({ code }) => gone(code);
    socket.onerror = () => gone(1006);
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
    const { admission } = this.#options;
    while (this.#open.size + admission.evicted > 0 && performance.now() < deadlineMs) {
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

  /** Lets go of a session whose connection is gone, or was told to close. */
  #forget(socket: WebSocket, session: Session): void {
    session.close();
    this.#open.delete(socket);
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
