/**
 * What tidings promises, as a small description that shares no code with the server: topics, subscriptions, queues,
 * recovery and overflow. It is told what clients do and what they see, and says where the two do not fit.
 */

/** Any message of the server, read as JSON. */
// deno-lint-ignore no-explicit-any
type Seen = any;

export interface Limits {
  /** Messages that a topic keeps. */
  readonly history: number;
  /** Messages that wait for a slow subscription. */
  readonly queue: number;
  /** Messages that certainly do not fit into a stalled connection before its queue is used. */
  readonly inFlight: number;
}

export interface SubscribeOptions {
  readonly last_n?: number;
  readonly since?: { readonly epoch: string; readonly offset: number };
  readonly overflow?: "drop_oldest" | "catch_up" | "latest" | "disconnect";
  readonly echo?: boolean;
}

interface Message {
  readonly offset: number;
  readonly id: string;
  readonly payload: number;
  readonly publisher: number;
}

interface Topic {
  readonly messages: Message[];
  /** Known from the first ack that tells it. */
  epoch: string | undefined;
  readonly idempotent: Map<string, Message>;
}

/** What is due on one topic of one connection, in order. */
type Due =
  | {
    readonly kind: "subscribed";
    readonly details: Record<string, unknown>;
    readonly topic: Topic;
  }
  | { readonly kind: "unsubscribed" | "deleted" }
  | { readonly kind: "event"; readonly message: Message }
  | Region;

/** What was published to a stalled subscription. */
interface Region {
  readonly kind: "region";
  readonly overflow: string;
  readonly wanted: readonly Message[];
  /** Offset of the topic's newest message when the region ended. */
  readonly last: number;
  /** How many were published in it, muted ones too. */
  readonly count: number;
}

interface Subscription {
  readonly topic: Topic;
  readonly overflow: string;
  readonly echo: boolean;
  /** How many messages the topic had when the connection stalled. */
  stalledAt: number;
}

interface Connection {
  isStalled: boolean;
  readonly subscriptions: Map<string, Subscription>;
  /** By topic name. */
  readonly due: Map<string, Due[]>;
  /** Answers in the order of the requests, but for those that stand in `due`. */
  readonly answers: Record<string, unknown>[];
}

export class Model {
  readonly #limits: Limits;
  readonly #topics = new Map<string, Topic>();
  readonly #connections = new Map<number, Connection>();
  readonly #epochs = new Set<string>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  isConnected(connection: number): boolean {
    return this.#connections.has(connection);
  }

  isStalled(connection: number): boolean {
    return this.#connections.get(connection)?.isStalled ?? false;
  }

  hasTopic(name: string): boolean {
    return this.#topics.has(name);
  }

  /** A position that a client may know. */
  position(name: string, back: number): { epoch: string; offset: number } | undefined {
    const topic = this.#topics.get(name);
    if (topic?.epoch === undefined) return undefined;
    return { epoch: topic.epoch, offset: Math.max(0, topic.messages.length - back) };
  }

  connect(connection: number): void {
    this.#connections.set(connection, {
      isStalled: false,
      subscriptions: new Map(),
      due: new Map(),
      answers: [],
    });
  }

  disconnect(connection: number): void {
    this.#connections.delete(connection);
  }

  createTopic(name: string): void {
    this.#topics.set(name, { messages: [], epoch: undefined, idempotent: new Map() });
  }

  deleteTopic(name: string): void {
    this.#topics.delete(name);
    for (const connection of this.#connections.values()) {
      const subscription = connection.subscriptions.get(name);
      if (!subscription) continue;
      this.#endRegion(connection, name, subscription);
      this.#due(connection, name).push({ kind: "deleted" });
      connection.subscriptions.delete(name);
    }
  }

  subscribe(number: number, name: string, options: SubscribeOptions): void {
    const connection = this.#connections.get(number)!;
    const topic = this.#topics.get(name);
    if (!topic) {
      connection.answers.push({ type: "error", code: "TOPIC_NOT_FOUND" });
      return;
    }
    const { messages } = topic;
    const held = messages.slice(-this.#limits.history);
    const { details, replay } = this.#startOf(topic, held, options);
    const due = this.#due(connection, name);
    due.push({ kind: "subscribed", topic, details: { ...details, offset: messages.length } });
    for (const message of replay) {
      if (options.echo === false && message.publisher === number) continue;
      due.push({ kind: "event", message });
    }
    connection.subscriptions.set(name, {
      topic,
      overflow: options.overflow ?? "drop_oldest",
      echo: options.echo ?? true,
      stalledAt: 0,
    });
  }

  unsubscribe(number: number, name: string): void {
    const connection = this.#connections.get(number)!;
    connection.subscriptions.delete(name);
    this.#due(connection, name).push({ kind: "unsubscribed" });
  }

  publish(
    number: number,
    name: string,
    message: { id: string; payload: number; idempotent: boolean },
  ) {
    const { answers } = this.#connections.get(number)!;
    const topic = this.#topics.get(name);
    if (!topic) {
      answers.push({ type: "error", code: "TOPIC_NOT_FOUND" });
      return;
    }
    const { id, payload, idempotent } = message;
    const first = idempotent ? topic.idempotent.get(id) : undefined;
    if (first && first.payload !== payload) {
      answers.push({ type: "error", code: "BAD_REQUEST" });
    } else if (first) {
      answers.push({ type: "ack", offset: first.offset, duplicate: true, subscribers: 0, topic });
    } else {
      const placed = { offset: topic.messages.length + 1, id, payload, publisher: number };
      topic.messages.push(placed);
      if (idempotent) topic.idempotent.set(id, placed);
      const subscribers = this.#deliver(name, placed);
      answers.push({
        type: "ack",
        offset: placed.offset,
        duplicate: undefined,
        subscribers,
        topic,
      });
    }
  }

  badFrame(number: number): void {
    this.#connections.get(number)!.answers.push({ type: "error", code: "BAD_REQUEST" });
  }

  stall(number: number): void {
    const connection = this.#connections.get(number)!;
    connection.isStalled = true;
    for (const subscription of connection.subscriptions.values()) {
      subscription.stalledAt = subscription.topic.messages.length;
    }
  }

  resume(number: number): void {
    const connection = this.#connections.get(number)!;
    for (const [name, subscription] of connection.subscriptions) {
      this.#endRegion(connection, name, subscription);
    }
    connection.isStalled = false;
  }

  /** Whether a stalled connection may, or must, have been closed for being slow. */
  overrun(number: number): "must not" | "may" | "must" {
    const connection = this.#connections.get(number)!;
    if (!connection.isStalled) return "must not";
    let verdict: "must not" | "may" | "must" = "must not";
    for (const { overflow, topic, stalledAt, echo } of connection.subscriptions.values()) {
      if (overflow !== "disconnect") continue;
      const since = topic.messages.slice(stalledAt);
      const wanted = since.filter(({ publisher }) => echo || publisher !== number);
      if (wanted.length > this.#limits.queue + this.#limits.inFlight) return "must";
      if (since.length > this.#limits.queue) verdict = "may";
    }
    return verdict;
  }

  /** Compares what a connection that does not stall has seen since the last check with what was due. */
  check(number: number, seen: readonly Seen[]): string[] {
    const connection = this.#connections.get(number)!;
    const faults: string[] = [];
    const byTopic = new Map<string, Seen[]>();
    const answers: Seen[] = [];
    for (const message of seen) {
      if (message.type === "pong" || message.msg === "ping") continue;
      if (isOfSubscription(message)) {
        byTopic.set(message.topic, [...byTopic.get(message.topic) ?? [], message]);
      } else {
        answers.push(message);
      }
    }
    for (const name of new Set([...byTopic.keys(), ...connection.due.keys()])) {
      const due = connection.due.get(name) ?? [];
      const fault = this.#compare(due, byTopic.get(name) ?? []);
      if (fault) faults.push(`connection ${number}, topic ${name}: ${fault}`);
    }
    connection.due.clear();
    const due = connection.answers.splice(0);
    if (due.length !== answers.length) {
      faults.push(`connection ${number}: ${answers.length} answers to ${due.length} requests`);
    }
    for (const [index, expected] of due.entries()) {
      const fault = answers[index] && this.#compareAnswer(expected, answers[index]);
      if (fault) faults.push(`connection ${number}, answer ${index}: ${fault}`);
    }
    return faults;
  }

  #startOf(topic: Topic, held: readonly Message[], { since, last_n = 0 }: SubscribeOptions) {
    const last = last_n === 0 ? [] : held.slice(-last_n);
    if (!since) return { details: { recovered: undefined, reason: undefined }, replay: last };
    const missed = topic.messages.slice(since.offset);
    const reason = since.epoch !== topic.epoch
      ? "epoch_changed"
      : since.offset > topic.messages.length
      ? "ahead"
      : missed.length > held.length
      ? "evicted"
      : undefined;
    return reason
      ? { details: { recovered: false, reason }, replay: last }
      : { details: { recovered: true, reason: undefined }, replay: missed };
  }

  /** Answers to how many subscriptions it went; `undefined` where that depends on who is cut off first. */
  #deliver(name: string, message: Message): number | undefined {
    let subscribers = 0;
    let isCertain = true;
    for (const [number, connection] of this.#connections) {
      const subscription = connection.subscriptions.get(name);
      if (!subscription) continue;
      if (connection.isStalled && [...connection.subscriptions.values()].some(isStrict)) {
        isCertain = false;
      }
      if (!subscription.echo && message.publisher === number) continue;
      subscribers++;
      if (!connection.isStalled) this.#due(connection, name).push({ kind: "event", message });
    }
    return isCertain ? subscribers : undefined;
  }

  #endRegion(connection: Connection, name: string, subscription: Subscription): void {
    if (!connection.isStalled) return;
    const { topic: { messages }, overflow, echo, stalledAt } = subscription;
    const number = [...this.#connections].find(([, other]) => other === connection)![0];
    const since = messages.slice(stalledAt);
    const wanted = since.filter(({ publisher }) => echo || publisher !== number);
    this.#due(connection, name).push({
      kind: "region",
      overflow,
      wanted,
      last: messages.length,
      count: since.length,
    });
  }

  #due(connection: Connection, name: string): Due[] {
    const due = connection.due.get(name) ?? [];
    connection.due.set(name, due);
    return due;
  }

  #compare(due: readonly Due[], seen: readonly Seen[]): string | undefined {
    let at = 0;
    for (const next of due) {
      if (next.kind === "region") {
        let end = at;
        while (seen[end]?.type === "event" || seen[end]?.error?.code === "SLOW_CONSUMER") end++;
        const fault = this.#compareRegion(next, seen.slice(at, end));
        if (fault) return fault;
        at = end;
        continue;
      }
      const message = seen[at++];
      const fault = message ? this.#compareOne(next, message) : "nothing came";
      if (fault) return `${describe(next)} was due: ${fault}`;
    }
    return seen[at] && `nothing was due: ${JSON.stringify(seen[at])}`;
  }

  #compareOne(due: Exclude<Due, Region>, seen: Seen): string | undefined {
    switch (due.kind) {
      case "event": {
        const { offset, id, payload } = due.message;
        const isSame = seen.type === "event" && seen.offset === offset && seen.message.id === id &&
          seen.message.payload === payload;
        return isSame ? undefined : JSON.stringify(seen);
      }
      case "subscribed": {
        const { recovered, reason, offset } = due.details;
        if (seen.type !== "ack" || seen.offset !== offset) return JSON.stringify(seen);
        if (seen.recovered !== recovered || seen.reason !== reason) return JSON.stringify(seen);
        return this.#compareEpoch(due.topic, seen.epoch);
      }
      case "unsubscribed":
        return seen.type === "ack" && seen.offset === undefined ? undefined : JSON.stringify(seen);
      case "deleted":
        return seen.msg === "topic_deleted" ? undefined : JSON.stringify(seen);
    }
  }

  /** First what was in flight, then perhaps one run of losses, then what the policy keeps. */
  #compareRegion(region: Region, seen: readonly Seen[]): string | undefined {
    const { overflow, wanted, last } = region;
    const losses = seen.filter(({ type }) => type === "error");
    const events = seen.filter(({ type }) => type === "event");
    const lossAt = seen.findIndex(({ type }) => type === "error");
    const inFlight = lossAt < 0 ? events.length : lossAt;
    const certainlyLost = wanted.length > this.#limits.inFlight + this.#limits.queue;

    if (overflow === "latest") {
      if (losses.length > 0) return `latest reports a loss: ${JSON.stringify(losses[0])}`;
      const newest = wanted.slice(-1);
      const before = wanted.slice(0, Math.max(0, events.length - 1));
      if (certainlyLost && events.length === wanted.length) {
        return "latest kept more than the newest";
      }
      return sameMessages([...before, ...newest], events);
    }
    if (losses.length > 1) return `${losses.length} reports of one run of losses`;
    const kept = overflow === "drop_oldest"
      ? this.#limits.queue
      : Math.max(this.#limits.queue, this.#limits.history);
    if (losses.length === 0) {
      if (certainlyLost && wanted.length > this.#limits.inFlight + kept) {
        return "a loss is not reported";
      }
      return sameMessages(wanted, events);
    }
    if (overflow === "disconnect") return "disconnect reports a loss";
    const rest = wanted.slice(inFlight);
    const lost = rest.filter(({ offset }) => offset <= last - kept);
    const fault = sameMessages([...wanted.slice(0, inFlight), ...rest.slice(lost.length)], events);
    if (fault) return fault;
    const { dropped, from_offset, to_offset } = losses[0].error;
    const isExact = dropped === lost.length && from_offset === lost[0]?.offset &&
      to_offset === lost.at(-1)?.offset;
    return isExact ? undefined : `lost ${lost.length}, told ${JSON.stringify(losses[0].error)}`;
  }

  #compareAnswer(expected: Record<string, unknown>, seen: Seen): string | undefined {
    if (expected.type === "error") {
      return seen.error?.code === expected.code
        ? undefined
        : `${expected.code} was due: ${JSON.stringify(seen)}`;
    }
    const { offset, duplicate, subscribers, topic } = expected;
    const isSame = seen.type === "ack" && seen.offset === offset && seen.duplicate === duplicate &&
      (subscribers === undefined || seen.subscribers === subscribers);
    if (!isSame) return `ack ${offset} for ${subscribers} was due: ${JSON.stringify(seen)}`;
    return this.#compareEpoch(topic as Topic, seen.epoch);
  }

  #compareEpoch(topic: Topic, epoch: string): string | undefined {
    if (topic.epoch === undefined) {
      if (this.#epochs.has(epoch)) return `epoch ${epoch} was another topic's`;
      this.#epochs.add(epoch);
      topic.epoch = epoch;
    }
    return topic.epoch === epoch ? undefined : `epoch ${epoch}, not ${topic.epoch}`;
  }
}

function isStrict({ overflow }: Subscription): boolean {
  return overflow === "disconnect";
}

/** Acks of publishes, and errors but for losses, belong to no subscription. */
function isOfSubscription(message: Seen): boolean {
  if (message.type === "event" || message.msg === "topic_deleted") return true;
  if (message.type === "ack") return message.subscribers === undefined;
  return message.error?.code === "SLOW_CONSUMER";
}

function sameMessages(due: readonly Message[], seen: readonly Seen[]): string | undefined {
  for (let index = 0; index < Math.max(due.length, seen.length); index++) {
    const isSame = due[index]?.offset === seen[index]?.offset &&
      due[index]?.payload === seen[index]?.message.payload;
    if (!isSame) return `offset ${due[index]?.offset} was due, ${seen[index]?.offset} came`;
  }
  return undefined;
}

function describe(due: Due): string {
  if (due.kind === "event") return `event ${due.message.offset}`;
  return due.kind === "subscribed" ? `subscribe ack ${JSON.stringify(due.details)}` : due.kind;
}
