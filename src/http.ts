/** What all HTTP routes share: what a request must be to be looked at, and how it is told what is wrong. */

import type { MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import type { z } from "zod";
import { RequestError } from "./errors.ts";
import { describeField } from "./protocol.ts";

/** `Request.url` is built from the Host header, so an odd one would choose the route (RFC 9112, section 3.2). */
export const checkHost = createMiddleware(async (context, next) => {
  const host = context.req.header("host") ?? "";
  const looksRight = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::\d{1,5})?$/i.test(host);
  // 999.999.999.999 and x:99999 look right, and make every `new URL(request.url)` throw.
  if (!looksRight || !URL.canParse(`http://${host}`)) {
    const message = 'Cannot answer: the header "Host" must be a host name with an optional port';
    throw new RequestError({ code: "BAD_REQUEST", message });
  }
  await next();
});

/** Refuses a body that does not say that it is JSON. */
export const requireJson = createMiddleware(async (context, next) => {
  const mediaType = (context.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  // Hono's validator leaves the body of any other type unread, text/x+json too.
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(mediaType)) {
    const message = 'Cannot read body: the header "Content-Type" must be application/json';
    throw new RequestError({ code: "BAD_REQUEST", message }, 415, { accept: "application/json" });
  }
  await next();
});

/**
 * Refuses a body of more than `maxBytes`, before all of it is read. Hono's own middleware leaves a body of unknown
 * length open when it has read too much of it, and each would stay with the server.
 */
export function limitBody(maxBytes: number): MiddlewareHandler {
  return createMiddleware(async (context, next) => {
    const { body, headers } = context.req.raw;
    const declaredBytes = headers.get("content-length");
    if (Number(declaredBytes) > maxBytes) throw bodyTooLarge(maxBytes);
    if (body && declaredBytes === null) {
      context.req.raw = new Request(context.req.raw, { body: await readBody(body, maxBytes) });
    }
    await next();
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
    throw new RequestError({
      code: "BAD_REQUEST",
      message: "Cannot read body: it ended too early",
    });
  }
  if (bytes > maxBytes) throw bodyTooLarge(maxBytes);
  return new Blob(chunks);
}

function bodyTooLarge(maxBytes: number): RequestError {
  const message = `Cannot read body: it must be at most ${maxBytes} bytes`;
  return new RequestError({ code: "PAYLOAD_TOO_LARGE", message });
}

/** A validator's hook: its failure is the contract's error, naming the field and what could not be done. */
export function refuseInvalid(action: string) {
  return (result: { success: true } | { success: false; error: z.core.$ZodError }): void => {
    if (result.success) return;
    const message = `Cannot ${action}: ${describeField(result.error)}`;
    throw new RequestError({ code: "BAD_REQUEST", message });
  };
}
