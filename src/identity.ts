/** Who a client is, and what it may do. */

import { type ErrorBody, RequestError } from "./errors.ts";
import type { Action, Grant, GrantSet } from "./grants.ts";

/** How many decisions are remembered for one identity; more topics than these are matched anew. */
const maxDecisions = 256;

/** What a token says of its bearer. */
export interface IdentityOptions {
  readonly sub: string;
  readonly isAdmin: boolean;
  readonly grants: GrantSet;
  /** When the token ends, in milliseconds since 1970. */
  readonly expiresAtMs: number;
}

/** Who bears a valid token, and what that token allows. */
export class Identity {
  readonly sub: string;
  /** May do everything, on every topic. */
  readonly isAdmin: boolean;
  /** When its token ends, in milliseconds since 1970. */
  readonly expiresAtMs: number;
  readonly #grants: GrantSet;
  /** What was found out about topics, for each action: a session asks again with every message. */
  readonly #decisions: Partial<Record<Action, Map<string, boolean>>> = {};

  constructor({ sub, isAdmin, grants, expiresAtMs }: IdentityOptions) {
    this.sub = sub;
    this.isAdmin = isAdmin;
    this.expiresAtMs = expiresAtMs;
    this.#grants = grants;
  }

  /** When its token ends, as ISO 8601 in UTC. */
  get expiresAt(): string {
    return new Date(this.expiresAtMs).toISOString();
  }

  /** Whether its token allows something on a topic, there or not. */
  allows(action: Action, topic: string): boolean {
    if (this.isAdmin) return true;
    const decisions = this.#decisions[action] ??= new Map<string, boolean>();
    const known = decisions.get(topic);
    if (known !== undefined) return known;
    const allowed = this.#grants.find(action, topic) !== undefined;
    if (decisions.size >= maxDecisions) decisions.clear();
    decisions.set(topic, allowed);
    return allowed;
  }

  /** Whether a `client_id` is its own: the token's `sub`, alone or with a slash and something behind it. */
  owns(clientId: string): boolean {
    return clientId === this.sub || clientId.startsWith(`${this.sub}/`);
  }

  /** The grant that allows something; `"admin"` where none needs to, or why it is not allowed, as text. */
  explain(action: Action, topic: string): { grant: Grant | "admin" } | { reason: string } {
    const grant = this.#grants.find(action, topic);
    if (grant) return { grant };
    if (this.isAdmin) return { grant: "admin" };
    const near = this.#grants.on(topic);
    if (near.length === 0) return { reason: `no grant matches "${topic}"` };
    const allowed = near.map(({ match, allow }) => `"${match}" allows ${allow.join(", ")}`);
    return { reason: `no grant that matches "${topic}" allows ${action}: ${allowed.join("; ")}` };
  }
}

/** `Cannot publish to "orders": the token does not allow it`; the same whether the topic is there or not. */
export function notAllowed(verb: string, topic: string): ErrorBody {
  return { code: "FORBIDDEN", message: `Cannot ${verb} "${topic}": the token does not allow it` };
}

/** `Cannot subscribe: "client_id" must be …`. */
export function notOwnClientId(verb: string): ErrorBody {
  const what = '"client_id" must be the token\'s "sub", or start with it and a slash';
  return { code: "FORBIDDEN", message: `Cannot ${verb}: ${what}` };
}

/** A request without a credential, where one is needed (RFC 6750, section 3.1). */
export function tokenNeeded(verb: string): RequestError {
  const message = `Cannot ${verb}: a token is needed`;
  return new RequestError({ code: "UNAUTHORIZED", message }, 401, {
    "www-authenticate": 'Bearer realm="tidings"',
  });
}

/** A token that is not valid. `what` says why, and never holds any of it. */
export function tokenRefused(what: string): RequestError {
  return credentialRefused(`Cannot accept token: ${what}`);
}

/** A ticket that is not valid. Which of the reasons it is would help who guesses. */
export function ticketRefused(): RequestError {
  return credentialRefused("Cannot accept ticket: it was used, has expired, or was never made");
}

/** RFC 6750, section 3.1. */
function credentialRefused(message: string): RequestError {
  return new RequestError({ code: "UNAUTHORIZED", message }, 401, {
    "www-authenticate": 'Bearer realm="tidings", error="invalid_token"',
  });
}

/** RFC 6750, section 3.1. */
function insufficient(body: ErrorBody): RequestError {
  return new RequestError(body, 403, {
    "www-authenticate": 'Bearer realm="tidings", error="insufficient_scope"',
  });
}

/** Throws `FORBIDDEN` unless the token allows something on a topic; `verb` is what that is, as `"publish to"`. */
export function requireAllowed(
  identity: Identity,
  action: Action,
  { verb, topic }: { readonly verb: string; readonly topic: string },
): void {
  if (!identity.allows(action, topic)) throw insufficient(notAllowed(verb, topic));
}

/** Throws `FORBIDDEN` unless the token is an admin's. */
export function requireAdmin(identity: Identity, verb: string): void {
  if (identity.isAdmin) return;
  const message = `Cannot ${verb}: the token must say "admin": true`;
  throw insufficient({ code: "FORBIDDEN", message });
}
