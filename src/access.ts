/** Access: who is asking, found out from what the request carries. */

import { type Credential, readAuthorization, readHandshakeCredential } from "./credentials.ts";
import { RequestError } from "./errors.ts";
import { type Identity, ticketRefused, tokenNeeded } from "./identity.ts";
import type { Log } from "./log.ts";
import { type IssuedTicket, Tickets } from "./tickets.ts";
import { type KeySettings, keysOf } from "./token_keys.ts";
import { Tokens } from "./tokens.ts";

/** Tells who somebody is. All its methods reject with a {@link RequestError}: `UNAUTHORIZED`, or why it cannot tell. */
export class Access {
  readonly #tokens: Tokens;
  readonly #tickets = new Tickets();

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  /** Who bears a token. */
  verify(token: string): Promise<Identity> {
    return this.#tokens.verify(token);
  }

  /** Who sends a request; `verb` says what for. */
  async identify(request: Request, verb: string): Promise<Identity> {
    const credential = readAuthorization(request);
    if (!credential) throw tokenNeeded(verb);
    return await this.#accept(credential);
  }

  /** Who wants to open a WebSocket; `undefined` when the request does not say: then the first message must. */
  async admit(request: Request): Promise<Identity | undefined> {
    const credential = readHandshakeCredential(request);
    return credential && await this.#accept(credential);
  }

  /** Makes a ticket, which admits its bearer once in the place of a token. */
  issueTicket(identity: Identity): IssuedTicket {
    const issued = this.#tickets.issue(identity);
    if ("code" in issued) throw new RequestError(issued);
    return issued;
  }

  #accept(credential: Credential): Promise<Identity> | Identity {
    if (credential.kind === "token") return this.#tokens.verify(credential.token);
    const identity = this.#tickets.redeem(credential.ticket);
    if (!identity) throw ticketRefused();
    return identity;
  }
}

/** Access as the settings have it; `undefined` when they have no key, and everything is allowed. */
export async function createAccess(settings: KeySettings, log: Log): Promise<Access | undefined> {
  return keysOf(settings).length === 0 ? undefined : new Access(await Tokens.create(settings, log));
}
