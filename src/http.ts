/** What all HTTP routes share: what a request must be to be looked at, and how it is told what is wrong. */

import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
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

/** Refuses a body of more than `maxBytes`, before all of it is read. */
export function limitBody(maxBytes: number): MiddlewareHandler {
  return bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      const message = `Cannot read body: it must be at most ${maxBytes} bytes`;
      throw new RequestError({ code: "PAYLOAD_TOO_LARGE", message });
    },
  });
}

/** A validator's hook: its failure is the contract's error, naming the field and what could not be done. */
export function refuseInvalid(action: string) {
  return (result: { success: true } | { success: false; error: z.core.$ZodError }): void => {
    if (result.success) return;
    const message = `Cannot ${action}: ${describeField(result.error)}`;
    throw new RequestError({ code: "BAD_REQUEST", message });
  };
}
