/** Access of one session: whose it is, what that allows, and how long. */

import type { Access } from "./access.ts";
import { type ErrorBody, RequestError } from "./errors.ts";
import { type Identity, notAllowed, notOwnClientId, tokenNeeded } from "./identity.ts";
import type { Command, Refusal } from "./protocol.ts";

/** How long a client that came without a credential may take for its first `auth`. */
const authTimeoutMs = 10_000;

/** How long before its token ends a client is warned. */
const warningMs = 30_000;

/**
 * How rarely the wall clock is looked at: it can jump, as it does when a machine wakes up. Far below what `setTimeout`
 * takes at most (24 days), past which it would run at once.
 */
const maxTimerMs = 60_000;

/** A session whose token comes and goes. */
export interface TokenBearer {
  /** Its token ends soon: `expiresAt` as ISO 8601 in UTC. */
  tokenExpiring(expiresAt: string): void;
  /** Its token has ended, and with it the session. */
  tokenExpired(): void;
  /** No valid token came in time. */
  tokenMissing(error: ErrorBody): void;
  /** One of the others has thrown. */
  failed(thrown: unknown): void;
}

/** Who one session's client is. */
export class SessionAccess {
  readonly #access: Access;
  #identity: Identity | undefined;
  #bearer: TokenBearer | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the first `auth` must have come, in milliseconds since 1970. */
  #authDeadlineMs = 0;
  #isVerifying = false;
  #isWarned = false;
  #isOver = false;

  /** Without an identity the client has to say with its first command who it is. */
  constructor(access: Access, identity?: Identity) {
    this.#access = access;
    this.#identity = identity;
  }

  /** Whether nothing but the end can follow: the first `auth` was refused, or time is up. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The connection is open: from now on time counts. */
  begin(bearer: TokenBearer): void {
    this.#bearer = bearer;
    this.#authDeadlineMs = Date.now() + authTimeoutMs;
    this.schedule();
  }

  /** Why a command may not be done, if so. */
  whyNot(command: Command | Refusal): ErrorBody | undefined {
    if (command.type === "auth" || command.type === "refusal") return undefined;
    const identity = this.#identity;
    if (!identity) return tokenNeeded(`${command.type} before "auth"`).body;
    switch (command.type) {
      case "publish":
        if (identity.allows("publish", command.topic)) return undefined;
        return notAllowed("publish to", command.topic);
      case "subscribe":
        if (!identity.owns(command.client_id)) return notOwnClientId("subscribe");
        if (identity.allows("subscribe", command.topic)) return undefined;
        return notAllowed("subscribe to", command.topic);
      case "unsubscribe":
        return identity.owns(command.client_id) ? undefined : notOwnClientId("unsubscribe");
      case "ping":
        return undefined;
      default:
        return command satisfies never;
    }
  }

  /** Whether a subscription to a topic may stay. */
  allows(topic: string): boolean {
    return this.#identity !== undefined && this.#identity.allows("subscribe", topic);
  }

  /**
   * Takes a first token, or another one of the same `sub` in the place of the one before. Rejects with a
   * {@link RequestError}; what was before then stays.
   */
  async authenticate(token: string): Promise<Identity> {
    this.#isVerifying = true;
    try {
      const identity = await this.#access.verify(token);
      if (this.#identity && this.#identity.sub !== identity.sub) throw otherSub();
      this.#identity = identity;
      this.#isWarned = false;
      return identity;
    } catch (thrown) {
      // When the keys cannot be fetched now, the client may try again until its time is up.
      const isFinal = thrown instanceof RequestError && thrown.body.code !== "UNAVAILABLE";
      if (!this.#identity && isFinal) this.close();
      throw thrown;
    } finally {
      this.#isVerifying = false;
    }
  }

  /** Sets the clock to what comes next: the deadline, the warning, or the end. */
  schedule(): void {
    clearTimeout(this.#timer);
    if (this.#isOver || this.#bearer === undefined) return;
    const delayMs = Math.max(0, this.#nextMs() - Date.now());
    this.#timer = setTimeout(() => this.#tick(), Math.min(delayMs, maxTimerMs));
  }

  /** The connection is gone, or about to. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #nextMs(): number {
    if (!this.#identity) return this.#authDeadlineMs;
    const { expiresAtMs } = this.#identity;
    return this.#isWarned ? expiresAtMs : expiresAtMs - warningMs;
  }

  #tick(): void {
    try {
      // A timer may be early, or have been too short for all of it.
      if (Date.now() >= this.#nextMs()) this.#act(this.#bearer!);
      this.schedule();
    } catch (thrown) {
      this.close();
      this.#bearer!.failed(thrown);
    }
  }

  #act(bearer: TokenBearer): void {
    if (!this.#identity) {
      // One that came in time is waited for.
      if (this.#isVerifying) this.#authDeadlineMs = Date.now() + authTimeoutMs;
      else this.#end(() => bearer.tokenMissing(tokenMissing));
    } else if (this.#isWarned) {
      this.#end(() => bearer.tokenExpired());
    } else {
      this.#isWarned = true;
      bearer.tokenExpiring(this.#identity.expiresAt);
    }
  }

  #end(tell: () => void): void {
    this.close();
    tell();
  }
}

const tokenMissing: ErrorBody = {
  code: "UNAUTHORIZED",
  message: `Cannot keep connection: no valid token came within ${authTimeoutMs / 1000} seconds`,
};

function otherSub(): RequestError {
  const message = 'Cannot auth: "token" must have the same "sub" as the one before it';
  return new RequestError({ code: "FORBIDDEN", message });
}
