/** Tickets: what stands for a token once, where a token would show in an address. */

import { randomBytes } from "node:crypto";
import type { ErrorBody } from "./errors.ts";
import type { Identity } from "./identity.ts";

/** How long a ticket can be used, in milliseconds. */
const lifetimeMs = 30_000;

/** How many unused tickets there may be, so that their memory is bounded. */
const maxTickets = 10_000;

/** How many of them one `sub` may hold, so that nobody can take them all. */
const maxTicketsPerSub = 100;

interface Ticket {
  readonly identity: Identity;
  readonly expiresAtMs: number;
}

/** A ticket as its bearer gets it. */
export interface IssuedTicket {
  readonly ticket: string;
  /** As ISO 8601 in UTC. */
  readonly expires_at: string;
}

/** The tickets that were made and not used. */
export class Tickets {
  /** Oldest first: all live equally long. */
  readonly #tickets = new Map<string, Ticket>();
  /** How many there are of each `sub`. */
  readonly #counts = new Map<string, number>();

  /** Makes a ticket, or answers `LIMIT_EXCEEDED`. It does not outlive the token. */
  issue(identity: Identity): IssuedTicket | ErrorBody {
    const now = Date.now();
    this.#forgetExpired(now);
    const count = this.#counts.get(identity.sub) ?? 0;
    if (count >= maxTicketsPerSub) return tooMany('"sub"', maxTicketsPerSub);
    if (this.#tickets.size >= maxTickets) return tooMany("server", maxTickets);
    const ticket = randomBytes(32).toString("base64url");
    const expiresAtMs = Math.min(now + lifetimeMs, identity.expiresAtMs);
    this.#tickets.set(ticket, { identity, expiresAtMs });
    this.#counts.set(identity.sub, count + 1);
    return { ticket, expires_at: new Date(expiresAtMs).toISOString() };
  }

  /** Whose ticket it is. It cannot be used again. `undefined` when it is none, or no longer. */
  redeem(ticket: string): Identity | undefined {
    const found = this.#tickets.get(ticket);
    if (!found) return undefined;
    this.#forget(ticket, found);
    return found.expiresAtMs > Date.now() ? found.identity : undefined;
  }

  #forgetExpired(now: number): void {
    for (const [ticket, found] of this.#tickets) {
      // A ticket that ends early with its token, behind others, waits for them.
      if (found.expiresAtMs > now) return;
      this.#forget(ticket, found);
    }
  }

  #forget(ticket: string, { identity: { sub } }: Ticket): void {
    this.#tickets.delete(ticket);
    const left = this.#counts.get(sub)! - 1;
    if (left === 0) this.#counts.delete(sub);
    else this.#counts.set(sub, left);
  }
}

function tooMany(each: string, max: number): ErrorBody {
  const message = `Cannot make ticket: there may be ${max} unused ones for each ${each}`;
  return { code: "LIMIT_EXCEEDED", message };
}
