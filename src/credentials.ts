/** Credentials: where a request carries who it is from. */

import { tokenRefused } from "./identity.ts";
import { RequestError } from "./errors.ts";
import { offeredSubprotocols } from "./handshake.ts";
import { tokenSubprotocolPrefix } from "./protocol.ts";

/** What a request carries: a token, or a ticket that stands for one. */
export type Credential =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "ticket"; readonly ticket: string };

/** The token in the header `Authorization` (RFC 6750, section 2.1), if there is that header. */
export function readAuthorization({ headers }: Request): Credential | undefined {
  const header = headers.get("authorization");
  if (header === null) return undefined;
  // The runtime joins headers of one name, and neither a token nor a scheme has a comma.
  if (header.includes(",")) throw twoCredentials();
  const token = /^bearer +([^ ]+) *$/i.exec(header)?.[1];
  if (token === undefined) {
    throw tokenRefused('the header "Authorization" must be "Bearer", a space, and the token');
  }
  return { kind: "token", token };
}

/** The credential of a request to open a WebSocket, if it has one. Throws when it has two. */
export function readHandshakeCredential(request: Request): Credential | undefined {
  const found: Credential[] = [];
  const authorization = readAuthorization(request);
  if (authorization) found.push(authorization);
  for (const protocol of offeredSubprotocols(request)) {
    if (!protocol.startsWith(tokenSubprotocolPrefix)) continue;
    found.push({ kind: "token", token: protocol.slice(tokenSubprotocolPrefix.length) });
  }
  for (const ticket of new URL(request.url).searchParams.getAll("ticket")) {
    found.push({ kind: "ticket", ticket });
  }
  if (found.length > 1) throw twoCredentials();
  return found[0];
}

/** RFC 6750, section 2: a client must not use more than one way to send a token. */
function twoCredentials(): RequestError {
  const message = "Cannot accept token: the request must have one, in one place";
  return new RequestError({ code: "BAD_REQUEST", message }, 400, {
    "www-authenticate": 'Bearer realm="tidings", error="invalid_request"',
  });
}
