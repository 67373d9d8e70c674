/** Origins: which pages of the web may ask this server, and how their browsers are told (CORS). */

import { z } from "zod";
import type { ErrorBody } from "./errors.ts";

/** How long a browser may remember what a preflight was answered. */
const preflightSeconds = 600;

/** What a page may send and read beyond what every page may. */
const allowedMethods = "GET, HEAD, POST, DELETE, OPTIONS";
const allowedHeaders = "Authorization, Content-Type";
const exposedHeaders = "Retry-After, WWW-Authenticate";

const expected = 'must be "*", or a list of origins such as https://app.example.com';

/** A list of origins as a setting gives it, or `"*"` for all. */
export const OriginList = z.string().transform((text, context): readonly string[] | "*" => {
  if (text.trim() === "*") return "*";
  const origins = text.split(",").map((entry) => readOrigin(entry.trim()));
  if (origins.every((origin) => origin !== undefined)) return origins;
  context.addIssue({ code: "custom", message: expected });
  return z.NEVER;
});

/** An origin as browsers write it (RFC 6454, section 6.2), from one that somebody wrote. */
function readOrigin(entry: string): string | undefined {
  const url = URL.parse(entry);
  if (!url || !/^https?:$/.test(url.protocol)) return undefined;
  // What URL would drop or add without a word: a path, a query, a user.
  const isBare = /^https?:\/\/[^/?#@\\\s]+$/i.test(entry);
  return isBare ? url.origin : undefined;
}

/** Which origins may ask: those of a list, all (`"*"`), or that of the server itself (`"same"`). */
export type OriginPolicy = readonly string[] | "*" | "same";

/** Lets requests of browsers through, or not, and tells the browsers. */
export class Origins {
  readonly #policy: OriginPolicy;
  readonly #listed: ReadonlySet<string>;

  constructor(policy: OriginPolicy) {
    this.#policy = policy;
    this.#listed = new Set(typeof policy === "string" ? [] : policy);
  }

  /** Answers a request that has the header `Origin`; `next` answers it if that may ask. */
  async answer(
    request: Request,
    origin: string,
    next: (request: Request) => Response | Promise<Response>,
  ): Promise<Response> {
    if (!this.#allows(origin, request.headers.get("host") ?? "")) return refusal();
    const preflight = request.method === "OPTIONS" &&
      request.headers.has("access-control-request-method");
    const response = preflight ? answerPreflight() : await next(request);
    // The response to an upgrade has headers that cannot be changed, and no browser asks it for these.
    if (response.status === 101) return response;
    const { headers } = response;
    if (this.#policy === "*") {
      headers.set("access-control-allow-origin", "*");
    } else {
      headers.set("access-control-allow-origin", origin);
      headers.append("vary", "Origin");
    }
    headers.set("access-control-expose-headers", exposedHeaders);
    return response;
  }

  #allows(origin: string, host: string): boolean {
    if (this.#policy === "*") return true;
    if (this.#policy !== "same") return this.#listed.has(origin);
    // A proxy may have taken off the TLS: of the scheme the request says nothing, of host and port it does.
    const url = URL.parse(origin);
    if (!url || url.origin !== origin) return false;
    return url.host === URL.parse(`${url.protocol}//${host}`)?.host;
  }
}

function answerPreflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": allowedMethods,
      "access-control-allow-headers": allowedHeaders,
      "access-control-max-age": String(preflightSeconds),
    },
  });
}

function refusal(): Response {
  const error: ErrorBody = {
    code: "FORBIDDEN",
    message: 'Cannot answer: pages of this "Origin" may not ask this server',
  };
  return Response.json({ error }, { status: 403, headers: { vary: "Origin" } });
}
