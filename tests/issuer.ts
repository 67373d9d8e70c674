/** Makes tokens, good and bad ones, byte by byte. */

import { createHmac } from "node:crypto";

/** The secret of the servers in the tests of access, and the one that it takes the place of. */
export const secret = "the-secret-of-the-tests-0123456789abcdef";
export const previousSecret = "the-one-before-it-of-the-tests-0123456789";

export type Claims = Record<string, unknown>;

/** Seconds since 1970, so many from now. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

/** The claims of alice, changed by `changes`; what is changed to `undefined` is left out. */
export function claimsOf(changes: Claims = {}): Claims {
  return {
    sub: "alice",
    aud: "tidings",
    iss: "https://issuer.example",
    exp: inSeconds(600),
    topics: [
      { match: "orders.*", allow: ["subscribe", "publish"] },
      { match: "{sub}/**", allow: ["history"] },
    ],
    ...changes,
  };
}

/** A token signed with HS256, whatever its header says. */
export function sign(claims: Claims | string, options: SignOptions = {}): string {
  const { header = {}, key = secret } = options;
  const text = typeof claims === "string" ? claims : JSON.stringify(claims);
  const signed = `${base64url(JSON.stringify({ alg: "HS256", typ: "JWT", ...header }))}.${
    base64url(text)
  }`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

export interface SignOptions {
  readonly header?: Record<string, unknown>;
  readonly key?: string;
}

export function base64url(text: string): string {
  return new TextEncoder().encode(text).toBase64({ alphabet: "base64url", omitPadding: true });
}
