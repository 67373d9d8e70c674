/** One connection as a client must see it: answers in the order of the requests, and events of subscriptions alone. */

import type { Received } from "../harness.ts";
import type { Ledger, Standing } from "./ledger.ts";
import type { Link, OpenLink } from "./link.ts";
import { type Wish, Witness, type WitnessOptions } from "./witness.ts";

/** A request without an answer so far. */
interface Pending {
  readonly id: string | undefined;
  readonly type: string;
  readonly onAnswer: (answer: Received) => void;
}

export class Conversation {
  readonly who: string;
  /** By topic. */
  readonly subscriptions = new Map<string, Witness>();
  /** The server has said that it shuts down. */
  isShutDown = false;
  /** Called with what there was of a topic's subscription when the topic was deleted. */
  onDeleted: (topic: string, witness: Witness) => void = () => {};
  /** When something came last, as of `performance.now()`. */
  heardAtMs = performance.now();
  #link: Link | undefined;
  readonly #options: WitnessOptions;
  readonly #pending: Pending[] = [];
  #requests = 0;

  private constructor(options: WitnessOptions) {
    this.#options = options;
    this.who = options.who;
  }

  /** Opens a connection. Rejects when it cannot be opened. */
  static async open(open: OpenLink, options: WitnessOptions): Promise<Conversation> {
    const conversation = new Conversation(options);
    conversation.#link = await open((text) => conversation.#take(text));
    options.verdict.connections++;
    return conversation;
  }

  get link(): Link {
    return this.#link!;
  }

  get waiting(): number {
    return this.#pending.length;
  }

  get #ledger(): Ledger {
    return this.#options.ledger;
  }

  /** Sends a request; what is right about its answer beyond its place in the order, `onAnswer` knows. */
  request(command: Record<string, unknown>, onAnswer: (answer: Received) => void): void {
    const id = String(++this.#requests);
    this.#pending.push({ id, type: String(command.type), onAnswer });
    this.link.send(JSON.stringify({ ...command, request_id: id }));
  }

  /** Sends what the server has to refuse. */
  misbehave(text: string): void {
    this.#pending.push({
      id: undefined,
      type: "bad input",
      onAnswer: (answer) => {
        if (answer.type !== "error" || answer.error.code === "INTERNAL") {
          this.#wrong(`${JSON.stringify(answer).slice(0, 200)} to ${text.slice(0, 100)}`);
        }
      },
    });
    this.link.send(text);
  }

  /** Subscribes; `onRefused` is called when there is no such topic, unless the server goes away anyhow. */
  subscribe(wish: Wish, onRefused: () => void = () => {}): void {
    const before = this.#ledger.standing(wish.topic);
    const wasOver = wish.since && this.#ledger.isOver(wish.since.epoch);
    this.request({ type: "subscribe", client_id: this.who, ...wish }, (answer) => {
      if (answer.type !== "ack") return this.#refuse(answer, onRefused);
      if (wasOver && answer.epoch === wish.since!.epoch) {
        this.#options.verdict.breach(
          "wrong recoveries",
          `${this.who}: ${wish.topic} kept its epoch`,
        );
      }
      this.subscriptions.set(wish.topic, new Witness(wish, answer, before, this.#options));
    });
  }

  unsubscribe(topic: string): void {
    this.request({ type: "unsubscribe", topic, client_id: this.who }, (answer) => {
      if (answer.type !== "ack") this.#wrong(JSON.stringify(answer));
      this.subscriptions.delete(topic);
    });
  }

  /**
   * Pings. By the pong, all that was acked before the ping must have come to each subscription, or have been told as
   * lost.
   */
  fence(onPong: () => void): void {
    const due = new Map<Witness, Standing>();
    for (const [topic, witness] of this.subscriptions) {
      const standing = this.#ledger.standing(topic);
      if (standing) due.set(witness, standing);
    }
    this.request({ type: "ping" }, (answer) => {
      if (answer.type !== "pong") this.#wrong(`${JSON.stringify(answer)} to a ping`);
      for (const witness of this.subscriptions.values()) {
        const standing = due.get(witness);
        if (standing) witness.expect(standing, "the pong");
      }
      onPong();
    });
  }

  #take(text: string): void {
    this.heardAtMs = performance.now();
    const value = JSON.parse(text);
    for (const message of Array.isArray(value) ? value : [value]) this.#takeOne(message);
  }

  #takeOne(message: Received): void {
    if (message.type === "event") {
      const witness = this.subscriptions.get(message.topic);
      if (witness) return witness.event(message);
      const what = `event ${message.offset} of ${message.topic}, not subscribed`;
      this.#options.verdict.breach("stray events", `${this.who}: ${what}`);
    } else if (message.type === "info") {
      this.#inform(message);
    } else if (message.type === "error" && message.error.code === "SLOW_CONSUMER") {
      const witness = this.subscriptions.get(message.topic);
      if (witness) witness.loss(message);
      else this.#wrong(`SLOW_CONSUMER of ${message.topic}, not subscribed`);
    } else {
      this.#answer(message);
    }
  }

  #answer(message: Received): void {
    const next = this.#pending.shift();
    if (next && message.request_id === next.id) next.onAnswer(message);
    else {this.#wrong(
        `${JSON.stringify(message).slice(0, 200)}, when ${next?.type} ${next?.id} was next`,
      );}
  }

  #inform({ msg, topic }: Received): void {
    if (msg === "shutdown") this.isShutDown = true;
    if (msg !== "topic_deleted") return;
    const witness = this.subscriptions.get(topic);
    this.subscriptions.delete(topic);
    if (witness) this.onDeleted(topic, witness);
    else this.#wrong(`topic_deleted of ${topic}, not subscribed`);
  }

  #refuse({ error }: Received, onRefused: () => void): void {
    if (error?.code === "TOPIC_NOT_FOUND") onRefused();
    else if (error?.code !== "SHUTTING_DOWN") {
      this.#wrong(`${JSON.stringify(error)} to a subscribe`);
    }
  }

  #wrong(what: string): void {
    this.#options.verdict.breach("wrong answers", `${this.who}: ${what}`);
  }
}
