/** What a request to open a WebSocket must be, and which subprotocol it gets. */

import { RequestError } from "./errors.ts";
import { batchSubprotocol, plainSubprotocol } from "./protocol.ts";

/** Throws what is wrong with a request to open a WebSocket (RFC 6455, section 4.2.1), if anything. */
export function checkHandshake({ method, headers }: Request): void {
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw handshakeError(426, 'this address speaks WebSocket: the header "Upgrade" must say so');
  }
  // Hono answers HEAD by the route of GET.
  if (method !== "GET") throw handshakeError(400, "the method must be GET");
  if (!hasToken(headers.get("connection"), "upgrade")) {
    throw handshakeError(400, 'the header "Connection" must contain "Upgrade"');
  }
  if (headers.get("sec-websocket-version") !== "13") {
    throw handshakeError(426, 'the header "Sec-WebSocket-Version" must be 13');
  }
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "")) {
    throw handshakeError(400, 'the header "Sec-WebSocket-Key" must be 16 bytes in base64');
  }
}

/** The subprotocols that a client offers, in its order. */
export function offeredSubprotocols({ headers }: Request): readonly string[] {
  const header = headers.get("sec-websocket-protocol") ?? "";
  return header.split(",").map((protocol) => protocol.trim()).filter((protocol) => protocol !== "");
}

/** The subprotocol that a client gets, if it offers one that is known. */
export function chooseSubprotocol(request: Request): string | undefined {
  const offered = offeredSubprotocols(request);
  return [batchSubprotocol, plainSubprotocol].find((protocol) => offered.includes(protocol));
}

/**
 * The request, with a subprotocol where the runtime finds it: in a list with a blank after each comma, or it throws.
 * Much-used clients (ws of npm) write lists without.
 */
export function agreeOn(request: Request, protocol: string): Request {
  const offered = request.headers.get("sec-websocket-protocol") ?? "";
  if (offered.split(", ").includes(protocol)) return request;
  const headers = new Headers(request.headers);
  headers.set("sec-websocket-protocol", protocol);
  return Object.defineProperty(request, "headers", { value: headers });
}

function handshakeError(status: 400 | 426, what: string): RequestError {
  const headers = { upgrade: "websocket", "sec-websocket-version": "13" };
  const body = { code: "BAD_REQUEST", message: `Cannot open WebSocket: ${what}` } as const;
  return new RequestError(body, status, status === 426 ? headers : {});
}

function hasToken(header: string | null, token: string): boolean {
  return (header ?? "").toLowerCase().split(",").some((part) => part.trim() === token);
}
