/** Does to a real server, over real sockets, what a sequence of actions says, and asks the model what it thinks of it. */

import fc from "fast-check";
import { batchSubprotocol } from "../src/protocol.ts";
import { deleteTopic, makeTopic, type TestServer } from "./harness.ts";
import { type Limits, Model, type SubscribeOptions } from "./model.ts";
import { TcpClient } from "./tcp_client.ts";
import type { Valves } from "./valve.ts";

/**
 * Settings with which a stall shows after a few messages, while no burst is more than one turn of the loop may buffer,
 * and the model's view of them.
 */
export const settings = { maxHistory: 20, maxSubscriberQueue: 5, maxBufferedBytes: 16_384 };

function limitsOf(protocol: string): Limits {
  // What a connection may be sent before its buffer is looked at: the limit and one frame, in messages of 130 bytes.
  const frameBytes = protocol === batchSubprotocol ? 65_536 : 130;
  return { history: 20, queue: 5, inFlight: Math.ceil((16_384 + frameBytes) / 130) };
}

const slot = fc.nat({ max: 2 });
const topic = fc.constantFrom("a", "b");

const action = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("connect" as const), slot }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("subscribe" as const),
      slot,
      topic,
      last_n: fc.option(fc.nat({ max: 30 }), { nil: undefined }),
      since: fc.option(
        fc.record({
          kind: fc.constantFrom("known", "known", "ahead", "foreign"),
          back: fc.nat({ max: 30 }),
        }),
        { nil: undefined },
      ),
      overflow: fc.constantFrom(undefined, "drop_oldest", "catch_up", "latest", "disconnect"),
      echo: fc.constantFrom(undefined, true, false),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("unsubscribe" as const), slot, topic }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      slot,
      topic,
      count: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constantFrom(140, 160)),
      idempotent: fc.constantFrom(undefined, "fresh", "again", "conflict"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("stall" as const), slot }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resume" as const), slot }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), slot }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remake" as const), topic }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("bad frame" as const),
      slot,
      text: fc.constantFrom(
        "{",
        "[]",
        "null",
        '{"type":"subscribe"}',
        '{"type":1}',
        "\u0000",
        '"ping"',
      ),
    }),
  },
);

export type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/**
 * Sequences of actions; shorter and simpler ones when one fails. Not of fast-check's usual size: ten actions seldom make
 * a subscription, a stall and a loss.
 */
export const sequences: fc.Arbitrary<Action[]> = fc.array(action, {
  minLength: 1,
  maxLength: 40,
  size: "medium",
});

let sequence = 0;

/** Runs one sequence from a fresh start. Answers all that the model finds wrong. */
export async function run(
  server: TestServer,
  valves: Valves,
  protocol: string,
  actions: Action[],
): Promise<string[]> {
  const driver = new Driver(server, valves, protocol, (++sequence).toString(36));
  await driver.start();
  for (const action of actions) {
    await driver.perform(action);
    if (driver.faults.length > 0) break;
  }
  await driver.finish();
  return driver.faults;
}

interface Peer {
  readonly number: number;
  readonly client: TcpClient;
  /** How much of what it received was checked. */
  checked: number;
}

class Driver {
  readonly faults: string[] = [];
  readonly #server: TestServer;
  readonly #valves: Valves;
  readonly #protocol: string;
  /** Keeps topics and valves of different sequences apart. */
  readonly #prefix: string;
  readonly #model: Model;
  readonly #peers = new Map<number, Peer>();
  #connections = 0;
  #payload = 0;
  #lastId = "";

  constructor(server: TestServer, valves: Valves, protocol: string, prefix: string) {
    this.#server = server;
    this.#protocol = protocol;
    this.#model = new Model(limitsOf(protocol));
    this.#valves = valves;
    this.#prefix = prefix;
  }

  async start(): Promise<void> {
    for (const name of ["a", "b"]) await this.#makeTopic(name);
    await this.#connect(0);
    await this.#connect(1);
  }

  async perform(action: Action): Promise<void> {
    const peer = "slot" in action ? this.#peers.get(action.slot) : undefined;
    if (action.do === "connect" && !peer) await this.#connect(action.slot);
    else if (action.do === "remake") await this.#remake(action.topic);
    else if (peer) this.#command(peer, action);
    if (peer && action.do === "abort") await this.#abort(action.slot, peer);
    await this.#check();
  }

  async finish(): Promise<void> {
    for (const peer of this.#peers.values()) {
      if (this.#model.isStalled(peer.number)) this.#resume(peer);
    }
    if (this.faults.length === 0) await this.#check();
    for (const { client, number } of this.#peers.values()) {
      await client.close();
      await this.#valves.ended(this.#valve(number));
    }
    for (const name of ["a", "b"]) await deleteTopic(this.#server, this.#name(name));
  }

  #command(peer: Peer, action: Action): void {
    const { number, client } = peer;
    const isStalled = this.#model.isStalled(number);
    if (action.do === "resume" && isStalled) this.#resume(peer);
    // The answers to a stalled connection cannot be waited for.
    if (isStalled) return;
    if (action.do === "subscribe") {
      const options = this.#optionsOf(action);
      this.#model.subscribe(number, this.#name(action.topic), options);
      client.send({
        type: "subscribe",
        topic: this.#name(action.topic),
        client_id: "c",
        ...options,
      });
    } else if (action.do === "unsubscribe") {
      this.#model.unsubscribe(number, this.#name(action.topic));
      client.send({ type: "unsubscribe", topic: this.#name(action.topic), client_id: "c" });
    } else if (action.do === "publish") {
      for (let n = 0; n < action.count; n++) this.#publish(peer, action);
    } else if (action.do === "bad frame") {
      this.#model.badFrame(number);
      client.send(action.text);
    } else if (action.do === "stall") {
      this.#model.stall(number);
      this.#valves.close(this.#valve(number));
    }
  }

  #publish({ number, client }: Peer, { topic, idempotent }: Action & { do: "publish" }): void {
    const isRepeat = idempotent === "again" || idempotent === "conflict";
    const id = isRepeat && this.#lastId !== "" ? this.#lastId : crypto.randomUUID();
    if (idempotent !== "again") this.#payload++;
    this.#lastId = id;
    const message = { id, payload: this.#payload };
    const isIdempotent = idempotent !== undefined;
    this.#model.publish(number, this.#name(topic), { ...message, idempotent: isIdempotent });
    client.send({ type: "publish", topic: this.#name(topic), message, idempotent: isIdempotent });
  }

  #optionsOf(
    { topic, since, last_n, overflow, echo }: Action & { do: "subscribe" },
  ): SubscribeOptions {
    const known = since &&
      this.#model.position(this.#name(topic), since.kind === "ahead" ? 0 : since.back);
    const position = known && {
      epoch: since.kind === "foreign" ? "foreign" : known.epoch,
      offset: known.offset + (since.kind === "ahead" ? since.back + 1 : 0),
    };
    return {
      ...(last_n !== undefined && { last_n }),
      ...(position && { since: position }),
      ...(overflow && { overflow: overflow as "latest" }),
      ...(echo !== undefined && { echo }),
    };
  }

  /** Fences every connection that is not stalled, and lets the model look at what they saw. */
  async #check(): Promise<void> {
    const isStalled = ({ number }: Peer) => this.#model.isStalled(number);
    for (const peer of this.#peers.values()) {
      if (!isStalled(peer)) await peer.client.fence();
    }
    for (const [slot, peer] of this.#peers) {
      if (isStalled(peer)) await this.#checkOverrun(slot, peer);
    }
    // What one connection published may have come to another after its fence: once more, for all.
    for (const [slot, peer] of this.#peers) {
      const { client, number } = peer;
      if (isStalled(peer)) continue;
      if (!await client.fence()) {
        this.faults.push(`connection ${number} was closed with ${await client.closed}`);
        this.#peers.delete(slot);
        this.#model.disconnect(number);
        continue;
      }
      const seen = client.received.slice(peer.checked);
      peer.checked = client.received.length;
      this.faults.push(...this.#model.check(number, seen));
    }
  }

  async #checkOverrun(slot: number, { number, client }: Peer): Promise<void> {
    const verdict = this.#model.overrun(number);
    const isEnding = this.#valves.isEnding(this.#valve(number));
    if (isEnding !== (verdict === "must") && verdict !== "may") {
      this.faults.push(
        `connection ${number} ${verdict} be closed, and is ${isEnding ? "" : "not"}`,
      );
    }
    if (!isEnding) return;
    const code = await client.closed;
    if (code !== 4008) this.faults.push(`connection ${number} was closed with ${code}, not 4008`);
    this.#peers.delete(slot);
    this.#model.disconnect(number);
    await this.#valves.ended(this.#valve(number));
  }

  #resume({ number }: Peer): void {
    this.#model.resume(number);
    this.#valves.open(this.#valve(number));
  }

  async #connect(slot: number): Promise<void> {
    const number = ++this.#connections;
    const path = `/ws?valve=${this.#valve(number)}`;
    const client = await TcpClient.connect(this.#server.port, path, this.#protocol);
    this.#peers.set(slot, { number, client, checked: 0 });
    this.#model.connect(number);
  }

  async #abort(slot: number, { client, number }: Peer): Promise<void> {
    this.#peers.delete(slot);
    this.#model.disconnect(number);
    await client.abort();
    await this.#valves.ended(this.#valve(number));
  }

  async #remake(name: string): Promise<void> {
    this.#model.deleteTopic(this.#name(name));
    await deleteTopic(this.#server, this.#name(name));
    await this.#makeTopic(name);
  }

  async #makeTopic(name: string): Promise<void> {
    await makeTopic(this.#server, this.#name(name));
    this.#model.createTopic(this.#name(name));
  }

  #name(topic: string): string {
    return `${this.#prefix}${topic}`;
  }

  #valve(number: number): string {
    return `${this.#prefix}-${number}`;
  }
}
