/** Who may open a connection: how many there are in all and from one address, and how fast they come. */

import { RequestError } from "./errors.ts";
import type { Limit, Limits } from "./limits.ts";
import { type Clock, TokenBucket } from "./token_bucket.ts";

/** When to try again where nobody can know when there will be room, in milliseconds. */
const tryAgainMs = 1000;

/** A bucket that was left alone for so long is full, in milliseconds: as good as a new one. */
const fullAfterMs = 1000;

/**
 * After how long a connection that is being opened is taken for lost, in milliseconds: of one that breaks off before
 * the answer is written the runtime tells nothing. One that opens after all has its place again.
 */
const lostAfterMs = 100;

const action = "open WebSocket";

/** How many connections there may be. */
export interface AdmissionOptions {
  /** In all: those being opened, open, and told to close but not gone. */
  readonly maxConnections: number;
  /** Told to close but not gone. */
  readonly maxEvictedConnections: number;
  /** From one address; 0 for as many as there may be in all. */
  readonly maxConnectionsPerAddress: number;
  /** New ones in a second from one address; 0 for any number. */
  readonly maxConnectsPerSecondPerAddress: number;
}

/** One connection's place, from the request for it until its socket is gone. */
export interface Place {
  /** What its address is counted as. */
  readonly address: string;
  readonly givenMs: number;
  state: "opening" | "open" | "evicted" | "left";
}

/** Gives places to connections, and takes them back. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #limits: Limits;
  readonly #clock: Clock;
  #taken = 0;
  #evicted = 0;
  #lost = 0;
  /** In the order in which they were given. */
  readonly #opening = new Set<Place>();
  /** Places taken, by address. Those from which there are none are not in it. */
  readonly #takenFrom = new Map<string, number>();
  /**
   * The buckets of addresses from which somebody came since `#turnedMs`, and in the time before. The older ones are
   * dropped together: no list grows by more than comes in two seconds, and none has to be searched for what is stale.
   */
  #buckets = new Map<string, TokenBucket>();
  #olderBuckets = new Map<string, TokenBucket>();
  #turnedMs: number;

  constructor(limits: Limits, options: AdmissionOptions, clock: Clock) {
    this.#limits = limits;
    this.#options = options;
    this.#clock = clock;
    this.#turnedMs = clock();
  }

  /** How many connections there are: being opened, open, and told to close but not gone. */
  get taken(): number {
    this.#forgetLost(this.#clock());
    return this.#taken;
  }

  /** How many connections were told to close and are not gone, as a peer that never reads can have it. */
  get evicted(): number {
    return this.#evicted;
  }

  /**
   * How many connections broke off while they were being opened, since the start. The runtime keeps the descriptor of
   * each (Deno 2.9.6), and nothing here can free it.
   */
  get lost(): number {
    this.#forgetLost(this.#clock());
    return this.#lost;
  }

  /** How many addresses something is remembered of. */
  get addresses(): number {
    const nowMs = this.#clock();
    this.#forgetFull(nowMs);
    this.#forgetLost(nowMs);
    return new Set([
      ...this.#takenFrom.keys(),
      ...this.#buckets.keys(),
      ...this.#olderBuckets.keys(),
    ]).size;
  }

  /** Gives a place to a connection from an address. Throws what to answer when there is none for it. */
  admit(address: string): Place {
    const { maxConnections, maxEvictedConnections, maxConnectionsPerAddress } = this.#options;
    const nowMs = this.#clock();
    this.#forgetLost(nowMs);
    if (this.#taken >= maxConnections) throw this.#full("MAX_CONNECTIONS", 503);
    if (this.#evicted >= maxEvictedConnections) throw this.#full("MAX_EVICTED_CONNECTIONS", 503);
    const taken = this.#takenFrom.get(address) ?? 0;
    if (maxConnectionsPerAddress > 0 && taken >= maxConnectionsPerAddress) {
      throw this.#full("MAX_CONNECTIONS_PER_ADDRESS", 429);
    }
    this.#checkPace(address, nowMs);
    const place: Place = { address, givenMs: nowMs, state: "opening" };
    this.#opening.add(place);
    this.#take(place);
    return place;
  }

  /** The connection is open. */
  open(place: Place): void {
    this.#opening.delete(place);
    if (place.state === "left") {
      this.#lost--;
      this.#take(place);
    }
    place.state = "open";
  }

  /** The connection was told to close. Harmless when called again, or after it has left. */
  evict(place: Place): void {
    if (place.state !== "open") return;
    place.state = "evicted";
    this.#evicted++;
  }

  /** The connection is gone. Harmless when called again. */
  leave(place: Place): void {
    if (place.state === "left") return;
    if (place.state === "evicted") this.#evicted--;
    place.state = "left";
    this.#opening.delete(place);
    this.#taken--;
    const taken = this.#takenFrom.get(place.address);
    if (taken === undefined) return;
    if (taken > 1) this.#takenFrom.set(place.address, taken - 1);
    else this.#takenFrom.delete(place.address);
  }

  #take({ address }: Place): void {
    this.#taken++;
    if (this.#options.maxConnectionsPerAddress === 0) return;
    this.#takenFrom.set(address, (this.#takenFrom.get(address) ?? 0) + 1);
  }

  #forgetLost(nowMs: number): void {
    for (const place of this.#opening) {
      if (nowMs - place.givenMs < lostAfterMs) return;
      this.leave(place);
      this.#lost++;
    }
  }

  #checkPace(address: string, nowMs: number): void {
    const { maxConnectsPerSecondPerAddress: perSecond } = this.#options;
    if (perSecond === 0) return;
    this.#forgetFull(nowMs);
    const bucket = this.#buckets.get(address) ?? this.#olderBuckets.get(address) ??
      new TokenBucket(perSecond, nowMs);
    this.#buckets.set(address, bucket);
    if (bucket.take(nowMs)) return;
    const body = this.#limits.outpaced(
      "MAX_CONNECTS_PER_SECOND_PER_ADDRESS",
      action,
      bucket.untilNextMs(nowMs),
    );
    throw refusal(body, 429);
  }

  /** Forgets buckets that are full again. */
  #forgetFull(nowMs: number): void {
    const passedMs = nowMs - this.#turnedMs;
    if (passedMs < fullAfterMs) return;
    this.#olderBuckets = passedMs < 2 * fullAfterMs ? this.#buckets : new Map();
    this.#buckets = new Map();
    this.#turnedMs = nowMs;
  }

  #full(limit: Limit, status: 429 | 503): RequestError {
    return refusal({ ...this.#limits.exceeded(limit, action), retry_after_ms: tryAgainMs }, status);
  }
}

/** Seconds in the header (RFC 9110, section 10.2.3), milliseconds in the body. */
function refusal(body: RequestError["body"], status: 429 | 503): RequestError {
  const seconds = Math.ceil((body.retry_after_ms ?? tryAgainMs) / 1000);
  return new RequestError(body, status, { "retry-after": String(seconds) });
}
