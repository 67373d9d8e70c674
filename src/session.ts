/** One connected client: its commands in, its subscriptions, and the answers in the order of the requests. */

import type { Broker, Opened, Receipt } from "./broker.ts";
import { type Awaitable, type PublishOptions, whenReady } from "./engine.ts";
import {
  closings,
  type ErrorBody,
  idReused,
  RequestError,
  shuttingDown,
  topicNotFound,
} from "./errors.ts";
import { Inbox } from "./inbox.ts";
import { describeThrown, type Log } from "./log.ts";
import type { Limits } from "./limits.ts";
import type { Outbox } from "./outbox.ts";
import type { RequestPace } from "./pace.ts";
import {
  type AckDetails,
  type Auth,
  type Command,
  decodeCommand,
  decodeCommands,
  encode,
  encodeReceipt,
  type Info,
  type Publish,
  type Refusal,
  type ServerMessage,
  type Subscribe,
  timestamp,
  type Unsubscribe,
} from "./protocol.ts";
import type { SessionAccess, TokenBearer } from "./session_access.ts";
import type { Subscriber, Subscription } from "./subscription.ts";

/** What a client agreed to when it connected. */
export interface SessionOptions {
  /** Whether frames may be arrays of messages, in both directions. */
  readonly isMerging: boolean;
  readonly limits: Limits;
  /** How deep a payload may nest. */
  readonly maxJsonDepth: number;
  readonly maxSubscriptionsPerConnection: number;
  /** How many bytes of requests may wait for an earlier one before the connection is closed with 4008. */
  readonly maxControlBacklogBytes: number;
  /** How fast requests may come; as fast as they like when not given. */
  readonly pace: RequestPace | undefined;
  /** What the client may do; everything when not given. */
  readonly access: SessionAccess | undefined;
}

/** Answers each command exactly once, in the order in which they came. */
export class Session implements Subscriber, TokenBearer {
  readonly outlet: Outbox;
  readonly isMerging: boolean;
  readonly #broker: Broker;
  readonly #log: Log;
  readonly #limits: Limits;
  readonly #maxJsonDepth: number;
  readonly #maxSubscriptions: number;
  readonly #pace: RequestPace | undefined;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Those to which this session's own messages do not come back. */
  readonly #muted = new Set<Subscription>();
  /** The origin of this session's messages. */
  readonly #id: string;
  readonly #plainly: PublishOptions;
  readonly #idempotently: PublishOptions;
  /** What came while an earlier command waits for the engine: answers keep the order of the requests. */
  readonly #inbox: Inbox;
  readonly #access: SessionAccess | undefined;
  #isWaiting = false;
  /** Its token has expired: it is closed when all that waits is sent. */
  #isEnding = false;
  #isDraining = false;
  #isClosed = false;

  constructor(broker: Broker, outlet: Outbox, log: Log, options: SessionOptions) {
    this.#broker = broker;
    this.outlet = outlet;
    this.#log = log;
    this.isMerging = options.isMerging;
    this.#limits = options.limits;
    this.#maxJsonDepth = options.maxJsonDepth;
    this.#maxSubscriptions = options.maxSubscriptionsPerConnection;
    this.#inbox = new Inbox(options.maxControlBacklogBytes);
    this.#pace = options.pace;
    this.#access = options.access;
    this.#id = `${processId}-${++sessions}`;
    this.#plainly = { origin: this.#id };
    this.#idempotently = { origin: this.#id, idempotent: true };
  }

  /** The connection is open. */
  begin(): void {
    this.#access?.begin(this);
  }

  /** Takes one text frame. Never throws: a fault costs this one request an `INTERNAL`. */
  receive(text: string): void {
    if (this.#isClosed || this.#isEnding) return;
    if (!this.isMerging) return this.#take(decodeCommand(text, this.#maxJsonDepth), text.length);
    const commands = decodeCommands(text, this.#maxJsonDepth);
    for (const command of commands) this.#take(command, text.length / commands.length);
  }

  /** Answers a frame that is no command, or none that can be read. */
  refuse(error: ErrorBody): void {
    this.#send({ type: "error", error, ts: timestamp() });
  }

  /** Tells the client something on the server's own account. */
  inform(info: Omit<Info, "type" | "ts">): void {
    this.#send({ type: "info", ...info, ts: timestamp() });
  }

  /** Ends all subscriptions as if their topics were deleted; what is queued for them still goes out. */
  drain(): void {
    this.#isDraining = true;
    for (const subscription of this.#subscriptions.values()) {
      this.#broker.unsubscribe(subscription);
      this.topicDeleted(subscription);
    }
  }

  /** The connection has ended. Harmless when called again. */
  close(): void {
    this.#isClosed = true;
    this.#access?.close();
    this.outlet.forget();
    for (const subscription of this.#subscriptions.values()) this.#broker.abandon(subscription);
    this.#subscriptions.clear();
  }

  topicDeleted(subscription: Subscription): void {
    const { topic, clientId } = subscription;
    // One whose ack is still to come is not known to the client.
    if (this.#subscriptions.get(keyOf(topic, clientId)) !== subscription) return;
    this.#remove(subscription);
    this.inform({ msg: "topic_deleted", topic: subscription.topic });
  }

  tokenExpiring(expires_at: string): void {
    this.inform({ msg: "token_expiring", expires_at });
  }

  tokenExpired(): void {
    this.#isEnding = true;
    for (const subscription of this.#subscriptions.values()) {
      this.#revoke(subscription, "token_expired");
    }
    this.outlet.closeWhenFlushed(closings.tokenExpired);
  }

  tokenMissing(error: ErrorBody): void {
    this.refuse(error);
    this.outlet.close(closings.unauthorized);
  }

  failed(thrown: unknown): void {
    this.#log.error("connection failed", describeThrown(thrown));
    this.outlet.close(closings.bug);
  }

  #take(request: Command | Refusal, bytes: number): void {
    // An array may go on after one of its commands has ended it all.
    if (this.#isClosed) return;
    const command = this.#pace === undefined ? request : this.#paced(request, this.#pace);
    if (!this.#isWaiting) return this.#run(command);
    if (this.#inbox.push(command, bytes)) return;
    this.refuse(this.#limits.exceeded("MAX_CONTROL_BACKLOG_BYTES", "take more requests"));
    this.outlet.close(closings.inboxFull);
  }

  /** What comes too fast becomes a refusal, which has its turn among the answers like any other. */
  #paced(command: Command | Refusal, pace: RequestPace): Command | Refusal {
    const retryAfterMs = pace.take();
    if (retryAfterMs === 0) return command;
    const action = command.type === "refusal" ? "read frame" : command.type;
    const error = this.#limits.outpaced("MAX_REQUESTS_PER_SECOND", action, retryAfterMs);
    if (pace.isIgnored) this.outlet.close(closings.tooManyRequests);
    const topic = "topic" in command ? command.topic : undefined;
    return { type: "refusal", request_id: command.request_id, topic, error };
  }

  #run(command: Command | Refusal): void {
    try {
      const done = this.#handle(command);
      if (done instanceof Promise) void this.#runLater(command, done);
    } catch (thrown) {
      this.#fail(command, thrown);
    }
  }

  async #runLater(command: Command | Refusal, done: Promise<void>): Promise<void> {
    this.#isWaiting = true;
    try {
      await done;
    } catch (thrown) {
      this.#fail(command, thrown);
    }
    this.#isWaiting = false;
    for (let next; !this.#isWaiting && (next = this.#inbox.shift()) !== undefined;) {
      if (!this.#isEnding && !this.#isClosed) this.#run(next);
    }
  }

  #handle(command: Command | Refusal): Awaitable<void> {
    if (this.#access !== undefined) {
      const denied = this.#access.whyNot(command);
      if (denied) return this.#refuse(command, denied);
    }
    switch (command.type) {
      case "publish":
        return this.#publish(command);
      case "subscribe":
        return this.#subscribe(command);
      case "unsubscribe":
        return this.#unsubscribe(command);
      case "ping":
        return this.#send({ type: "pong", request_id: command.request_id, ts: timestamp() });
      case "auth":
        return this.#authenticate(command);
      case "refusal":
        this.#log.debug("request refused", { reason: command.error.message });
        if (command.limit) this.#limits.count(command.limit);
        return this.#refuse(command, command.error);
      default:
        return command satisfies never;
    }
  }

  #authenticate(command: Auth): Awaitable<void> {
    const { request_id } = command;
    if (this.#access !== undefined) return this.#identify(command, this.#access);
    this.#send({ type: "ack", request_id, status: "ok", ts: timestamp() });
  }

  async #identify(command: Auth, access: SessionAccess): Promise<void> {
    const { request_id } = command;
    try {
      const { sub, expiresAt: expires_at } = await access.authenticate(command.token);
      if (this.#isClosed || this.#isEnding) return;
      this.#send({ type: "ack", request_id, status: "ok", ts: timestamp(), sub, expires_at });
    } catch (thrown) {
      if (!(thrown instanceof RequestError)) throw thrown;
      if (this.#isClosed || this.#isEnding) return;
      this.#refuse(command, thrown.body);
      if (access.isOver) this.outlet.close(closings.unauthorized);
      return;
    }
    for (const subscription of this.#subscriptions.values()) {
      if (!access.allows(subscription.topic)) this.#revoke(subscription, "not_granted");
    }
    access.schedule();
  }

  /** Ends a subscription that is no longer allowed; what is queued for it still goes out. */
  #revoke(subscription: Subscription, reason: "not_granted" | "token_expired"): void {
    const { topic, clientId: client_id } = subscription;
    this.#remove(subscription);
    this.#broker.unsubscribe(subscription);
    this.inform({ msg: "unsubscribed", topic, client_id, reason });
  }

  #publish(command: Publish): Awaitable<void> {
    if (this.#isDraining) return this.#refuse(command, shuttingDown("publish"));
    const options = command.idempotent ? this.#idempotently : this.#plainly;
    const receipt = this.#broker.publish(command.topic, command.message, options);
    if (receipt instanceof Promise) {
      return receipt.then((receipt) => this.#answerPublish(command, receipt));
    }
    this.#answerPublish(command, receipt);
  }

  #answerPublish(
    command: Publish,
    receipt: Receipt | "id_reused" | "too_many" | undefined,
  ): void {
    if (receipt === undefined) {
      return this.#refuse(command, topicNotFound("publish to", command.topic));
    }
    if (receipt === "id_reused") return this.#refuse(command, idReused);
    if (receipt === "too_many") return this.#refuse(command, this.#tooManyTopics(command.topic));
    const muted = receipt.duplicate ? 0 : this.#noteMuted(command.topic, receipt.offset);
    this.outlet.control(encodeReceipt(command, receipt, receipt.subscribers - muted));
  }

  /** Answers how many of its subscriptions do not get its own message. */
  #noteMuted(topic: string, offset: number): number {
    let muted = 0;
    for (const subscription of this.#muted) {
      if (subscription.topic !== topic) continue;
      subscription.noteMuted(offset);
      muted++;
    }
    return muted;
  }

  #subscribe(command: Subscribe): Awaitable<void> {
    if (this.#isDraining) return this.#refuse(command, shuttingDown("subscribe"));
    if (
      this.#subscriptions.size >= this.#maxSubscriptions &&
      !this.#subscriptions.has(keyOf(command.topic, command.client_id))
    ) {
      const action = `subscribe to "${command.topic}"`;
      return this.#refuse(
        command,
        this.#limits.exceeded("MAX_SUBSCRIPTIONS_PER_CONNECTION", action),
      );
    }
    const options = {
      clientId: command.client_id,
      overflow: command.overflow ?? "drop_oldest",
      mutedOrigin: command.echo === false ? this.#id : undefined,
      lastN: command.last_n ?? 0,
      since: command.since,
    };
    return whenReady(
      this.#broker.subscribe(command.topic, this, options),
      (opened) => {
        if (opened === undefined) {
          return this.#refuse(command, topicNotFound("subscribe to", command.topic));
        }
        if (opened === "too_many") {
          return this.#refuse(command, this.#tooManyTopics(command.topic));
        }
        this.#open(command, opened);
      },
    );
  }

  #tooManyTopics(topic: string): ErrorBody {
    return this.#limits.exceeded("MAX_TOPICS", `create topic "${topic}"`);
  }

  #open(command: Subscribe, { subscription, started }: Opened): void {
    if (this.#isClosed || this.#isEnding || this.#isDraining) {
      this.#broker.abandon(subscription);
      return this.#refuse(command, shuttingDown("subscribe"));
    }
    const key = keyOf(command.topic, command.client_id);
    const replaced = this.#subscriptions.get(key);
    if (replaced) {
      this.#remove(replaced);
      this.#broker.unsubscribe(replaced);
    }
    this.#subscriptions.set(key, subscription);
    if (command.echo === false) this.#muted.add(subscription);
    this.#acknowledge(command, started);
    subscription.start();
  }

  #unsubscribe(command: Unsubscribe): void {
    const key = keyOf(command.topic, command.client_id);
    const subscription = this.#subscriptions.get(key);
    if (subscription) {
      this.#remove(subscription);
      this.#broker.unsubscribe(subscription);
    }
    this.#acknowledge(command);
  }

  #remove(subscription: Subscription): void {
    this.#subscriptions.delete(keyOf(subscription.topic, subscription.clientId));
    this.#muted.delete(subscription);
  }

  #acknowledge(command: Subscribe | Unsubscribe, details?: AckDetails): void {
    const { request_id, topic } = command;
    this.#send({ type: "ack", request_id, topic, status: "ok", ts: timestamp(), ...details });
  }

  #refuse(command: Command | Refusal, error: ErrorBody): void {
    const { request_id } = command;
    const topic = "topic" in command ? command.topic : undefined;
    this.#send({ type: "error", request_id, topic, error, ts: timestamp() });
  }

  #fail(command: Command | Refusal, thrown: unknown): void {
    this.#log.error("request failed", { type: command.type, ...describeThrown(thrown) });
    const message =
      `Cannot ${command.type}: the server has a fault; whether it was done is not known`;
    this.#refuse(command, { code: "INTERNAL", message });
  }

  #send(message: ServerMessage): void {
    this.outlet.control(encode(message));
  }
}

/** An origin is told apart from those of other processes, which an engine may share with this one. */
const processId = crypto.randomUUID().slice(0, 8);
let sessions = 0;

/** A topic's name has no space, so no two pairs share a key. */
function keyOf(topic: string, clientId: string): string {
  return `${topic} ${clientId}`;
}
