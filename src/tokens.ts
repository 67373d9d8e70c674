/** Tokens: JWTs (RFC 7519) of the issuers that the settings name, verified with jose. */

import {
  createRemoteJWKSet,
  customFetch,
  errors,
  importJWK,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
} from "jose";
import { Identity, tokenRefused } from "./identity.ts";
import { RequestError } from "./errors.ts";
import { GrantSet } from "./grants.ts";
import { describeThrown, type Log } from "./log.ts";
import { type Algorithm, algorithmsFor, type KeySettings } from "./token_keys.ts";

/** The longest token that is looked at, in characters. */
export const maxTokenLength = 8192;

/** The end of the year 9999: what comes after it is no time that `Date` and ISO 8601 agree on. */
const maxExpiresAtMs = 253_402_300_799_000;

/** How long an answer of `JWKS_URL` is waited for. */
const jwksTimeoutMs = 5_000;
/** How long to leave `JWKS_URL` alone when it has failed. */
const jwksPauseMs = 1_000;
/** How long to leave `JWKS_URL` alone when it was asked for a key that it did not have. */
const jwksCooldownMs = 10_000;
/** How long keys of `JWKS_URL` are used before they are fetched again. */
const jwksMaxAgeMs = 600_000;

/** A key, or what finds it by the token's header. */
type Key = CryptoKey | JWTVerifyGetKey;

/** Whose tokens are accepted. */
export class Tokens {
  readonly #keys: ReadonlyMap<string, readonly Key[]>;
  readonly #expected: { readonly audience?: string; readonly issuer?: string };

  private constructor(keys: ReadonlyMap<string, readonly Key[]>, settings: KeySettings) {
    const { jwtAudience: audience, jwtIssuer: issuer } = settings;
    this.#keys = keys;
    this.#expected = {
      ...(audience !== undefined && { audience }),
      ...(issuer !== undefined && { issuer }),
    };
  }

  /** Gets the keys of the settings ready; `JWKS_URL` is asked only when there is a token. */
  static async create(settings: KeySettings, log: Log): Promise<Tokens> {
    const { jwtSecret, jwtPreviousSecret, jwtPublicKey, jwksUrl } = settings;
    const remote = jwksUrl === undefined ? undefined : remoteKeys(jwksUrl, log);
    const keys = new Map<string, Key[]>();
    for (const algorithm of algorithmsFor(settings)) {
      const usable: Key[] = [];
      if (algorithm === "HS256") {
        for (const secret of [jwtSecret, jwtPreviousSecret]) {
          if (secret !== undefined) usable.push(await importSecret(secret));
        }
      } else {
        if (jwtPublicKey?.algorithms.includes(algorithm)) {
          usable.push(await importJWK(jwtPublicKey.jwk, algorithm) as CryptoKey);
        }
        if (remote) usable.push(remote);
      }
      keys.set(algorithm, usable);
    }
    return new Tokens(keys, settings);
  }

  /**
   * Who bears a token. Rejects with a {@link RequestError}: `UNAUTHORIZED` with what is wrong with it, `UNAVAILABLE`
   * when that cannot be told because `JWKS_URL` does not answer.
   */
  async verify(token: string): Promise<Identity> {
    const algorithm = this.#algorithmOf(token);
    let refusal: unknown;
    for (const key of this.#keys.get(algorithm)!) {
      try {
        return identityOf(await this.#read(token, algorithm, key));
      } catch (thrown) {
        if (!(thrown instanceof errors.JWSSignatureVerificationFailed || thrown === noKey)) {
          throw thrown;
        }
        refusal = thrown;
      }
    }
    throw refusal === noKey ? noKey : tokenRefused("its signature is not right");
  }

  /** The algorithm of a token's header, once the header is as it may be: nothing else is taken from it. */
  #algorithmOf(token: string): Algorithm {
    if (token.length > maxTokenLength) {
      throw tokenRefused(`it must be at most ${maxTokenLength} characters long`);
    }
    const parts = token.split(".");
    if (parts.length !== 3 || !parts.every(isBase64url)) {
      throw tokenRefused("it must be three texts in base64url, with dots between them");
    }
    const header = readHeader(parts[0]!);
    for (const name of ["jwk", "jku", "x5u", "x5c", "crit"]) {
      if (Object.hasOwn(header, name)) throw tokenRefused(`its header must not have "${name}"`);
    }
    const { alg } = header;
    if (typeof alg !== "string" || !this.#keys.has(alg)) {
      throw tokenRefused(`its "alg" must be ${Array.from(this.#keys.keys()).join(" or ")}`);
    }
    return alg as Algorithm;
  }

  async #read(token: string, algorithm: Algorithm, key: Key): Promise<JWTPayload> {
    const options = { ...this.#expected, algorithms: [algorithm] };
    try {
      const { payload } = typeof key === "function"
        ? await jwtVerify(token, key, options)
        : await jwtVerify(token, key, options);
      return payload;
    } catch (thrown) {
      throw refusalOf(thrown);
    }
  }
}

function importSecret(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(secret);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", bytes, algorithm, false, ["verify"]);
}

/**
 * Whether a text is base64url without padding, and the only one of the bytes that it stands for: the bits behind the
 * last byte are zero (RFC 4648, section 3.5).
 */
function isBase64url(text: string): boolean {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return false;
  const last = text.at(-1)!;
  switch (text.length % 4) {
    case 0:
      return true;
    case 2:
      return "AQgw".includes(last);
    case 3:
      return "AEIMQUYcgkosw048".includes(last);
    default:
      return false;
  }
}

function readHeader(part: string): Record<string, unknown> {
  try {
    const text = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
    const header = JSON.parse(text);
    if (typeof header === "object" && header !== null && !Array.isArray(header)) return header;
  } catch {
    // Said below, in words that hold nothing of the token.
  }
  throw tokenRefused("its header must be a JSON object");
}

const noKey = tokenRefused("no key of the server is the one that it was signed with");

const keysUnavailable = new RequestError({
  code: "UNAVAILABLE",
  message: "Cannot verify token: the keys of its issuer cannot be fetched now",
});

/** What a client is told. The errors of jose, and what caused them, may hold parts of the token. */
function refusalOf(thrown: unknown): unknown {
  if (thrown instanceof RequestError) return thrown;
  if (thrown instanceof errors.JWSSignatureVerificationFailed) return thrown;
  if (thrown instanceof errors.JWTExpired) return tokenRefused("it has expired");
  if (thrown instanceof errors.JWTClaimValidationFailed) {
    return tokenRefused(describeClaim(thrown.claim, thrown.reason));
  }
  return tokenRefused("it is not a JWT that the server can read");
}

function describeClaim(claim: string, reason: string): string {
  if (reason === "missing") return `its "${claim}" is missing`;
  if (reason === "invalid") return `its "${claim}" must be a number`;
  if (claim === "nbf") return "it is not valid yet";
  return `its "${claim}" is not the one that this server expects`;
}

function identityOf(claims: JWTPayload): Identity {
  const { sub, exp, admin = false } = claims;
  if (exp === undefined) throw tokenRefused('its "exp" is missing');
  const expiresAtMs = exp * 1000;
  if (expiresAtMs > maxExpiresAtMs) throw tokenRefused('its "exp" must be before the year 10000');
  // jose looks at whole seconds.
  if (expiresAtMs <= Date.now()) throw tokenRefused("it has expired");
  if (typeof sub !== "string" || sub.length < 1 || sub.length > 255) {
    throw tokenRefused('its "sub" must be a text of 1 to 255 characters');
  }
  if (typeof admin !== "boolean") throw tokenRefused('its "admin" must be true or false');
  const grants = GrantSet.read(claims.topics, sub);
  if (typeof grants === "string") throw tokenRefused(`its ${grants}`);
  return new Identity({ sub, isAdmin: admin, grants, expiresAtMs });
}

/** Keys of an address, which are fetched when they are needed and kept for a while. */
function remoteKeys(url: string, log: Log): JWTVerifyGetKey {
  let pausedUntilMs = 0;
  const remote = createRemoteJWKSet(new URL(url), {
    timeoutDuration: jwksTimeoutMs,
    cooldownDuration: jwksCooldownMs,
    cacheMaxAge: jwksMaxAgeMs,
    // An address that is down would otherwise be asked again for every token that anybody sends.
    [customFetch]: async (...args) => {
      if (performance.now() < pausedUntilMs) throw keysUnavailable;
      pausedUntilMs = performance.now() + jwksPauseMs;
      const response = await fetch(...args);
      if (response.status === 200) pausedUntilMs = 0;
      else await response.body?.cancel();
      return response;
    },
  });
  return async (header, token) => {
    try {
      return await remote(header, token);
    } catch (thrown) {
      if (thrown instanceof errors.JWKSNoMatchingKey) throw noKey;
      if (thrown instanceof errors.JWKSMultipleMatchingKeys) throw severalKeys;
      if (thrown !== keysUnavailable) {
        const { error } = describeThrown(thrown);
        log.warn("keys cannot be fetched", { error: String(error).replaceAll(url, "JWKS_URL") });
      }
      throw keysUnavailable;
    }
  };
}

/** Issuers that have more than one key say in each token which one it was signed with (RFC 7515, section 4.1.4). */
const severalKeys = tokenRefused('its header must have a "kid" that one of the issuer\'s keys has');
