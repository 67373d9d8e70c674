/** What all HTTP routes share: what a request must be to be looked at, and how it is told what is wrong. */

import type { Context, MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import type { z } from "zod";
import { type ErrorBody, RequestError } from "./errors.ts";
import { describeField } from "./protocol.ts";

/**
 * Finds what cannot be routed, and answers it; `undefined` for what can. `Request.url` is built from the Host, so an odd
 * one would choose the route, and where a target has no path (`GET http://x?y`, `CONNECT x:80`) the router would fail
 * (RFC 9112, section 3.2). Most requests have the Host of the one before.
 */
export function makeTargetCheck(): (request: Request) => Response | undefined {
  let lastGood: string | undefined;
  return (request) => {
    const host = request.headers.get("host") ?? "";
    if (host !== lastGood && !isHost(host)) {
      return answerOddTarget('the header "Host" must be a host name with an optional port');
    }
    lastGood = host;
    return hasPath(request)
      ? undefined
      : answerOddTarget("the target of the request must have a path");
  };
}

function isHost(host: string): boolean {
  const looksRight = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::\d{1,5})?$/i.test(host);
  // 999.999.999.999 and x:99999 look right, and make every `new URL(request.url)` throw.
  return looksRight && URL.canParse(`http://${host}`);
}

function hasPath({ url }: Request): boolean {
  return url.indexOf("/", url.indexOf("://") + 3) > 0;
}

function answerOddTarget(what: string): Response {
  const error: ErrorBody = { code: "BAD_REQUEST", message: `Cannot answer: ${what}` };
  return Response.json({ error }, { status: 400 });
}

/** Lets a body through that says that it is JSON and has at most `maxBytes`. */
export function requireJson(maxBytes: number): MiddlewareHandler {
  return createMiddleware(async (context, next) => {
    await checkJsonBody(context, maxBytes);
    await next();
  });
}

/** Throws unless a body says that it is JSON and has at most `maxBytes`. A promise when that is not known at once. */
export function checkJsonBody(context: Context, maxBytes: number): Promise<void> | undefined {
  checkMediaType(context);
  return limitBody(context, maxBytes);
}

function checkMediaType(context: Context): void {
  const header = context.req.header("content-type") ?? "";
  if (header === "application/json") return;
  const mediaType = header.split(";")[0]!.trim().toLowerCase();
  // Hono's validator leaves the body of any other type unread, text/x+json too.
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(mediaType)) {
    const message = 'Cannot read body: the header "Content-Type" must be application/json';
    throw new RequestError({ code: "BAD_REQUEST", message }, 415, { accept: "application/json" });
  }
}

/**
 * Refuses a body of more than `maxBytes`, before all of it is read. Hono's own middleware leaves a body of unknown
 * length open when it has read too much of it, and each would stay with the server.
 */
function limitBody(context: Context, maxBytes: number): Promise<void> | undefined {
  const declaredBytes = context.req.header("content-length");
  if (Number(declaredBytes) > maxBytes) throw bodyTooLarge(maxBytes);
  // Only now: looking at the body makes a stream of it, which costs more than all the rest.
  if (declaredBytes !== undefined || !context.req.raw.body) return undefined;
  return readBody(context.req.raw.body, maxBytes).then((body) => {
    context.req.raw = new Request(context.req.raw, { body });
  });
}

async function readBody(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<Blob> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      chunks.push(chunk as Uint8Array<ArrayBuffer>);
    }
  } catch {
    throw bodyCutOff();
  }
  if (bytes > maxBytes) throw bodyTooLarge(maxBytes);
  return new Blob(chunks);
}

/** What a request is told whose body ends before it is whole. */
export function bodyCutOff(): RequestError {
  return new RequestError({ code: "BAD_REQUEST", message: "Cannot read body: it ended too early" });
}

function bodyTooLarge(maxBytes: number): RequestError {
  const message = `Cannot read body: it must be at most ${maxBytes} bytes (MAX_MESSAGE_BYTES)`;
  return new RequestError({ code: "PAYLOAD_TOO_LARGE", message });
}

/** A validator's hook: its failure is the contract's error, naming the field and what could not be done. */
export function refuseInvalid(action: string) {
  return (result: { success: true } | { success: false; error: z.core.$ZodError }): void => {
    if (!result.success) throw invalid(action, describeField(result.error));
  };
}

/** What could not be done because a field, which `what` names, is not right. */
export function invalid(action: string, what: string): RequestError {
  return new RequestError({ code: "BAD_REQUEST", message: `Cannot ${action}: ${what}` });
}
