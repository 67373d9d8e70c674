/** Keys that tokens are verified with, as settings give them: what each is, and which algorithms it may be used with. */

import { createPublicKey } from "node:crypto";
import { Buffer } from "node:buffer";
import { z } from "zod";

const rsaAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const;
const edAlgorithms = ["EdDSA", "Ed25519"] as const;
const ecAlgorithms = ["ES256", "ES384", "ES512"] as const;

/** Algorithms of public keys. */
export const publicAlgorithms = [...rsaAlgorithms, ...ecAlgorithms, ...edAlgorithms] as const;

const algorithms = ["HS256", ...publicAlgorithms] as const;

/** How a token may be signed (RFC 7518, section 3.1; RFC 9864). */
export const Algorithm = z.enum(algorithms, `must be a list out of ${algorithms.join(", ")}`);
export type Algorithm = z.infer<typeof Algorithm>;

/** A public key of a setting. */
export interface PublicKey {
  /** As RFC 7517 writes it. */
  readonly jwk: Readonly<Record<string, unknown>>;
  /** What it can verify. */
  readonly algorithms: readonly Algorithm[];
}

/** A secret for HS256: RFC 7518, section 3.2, wants at least as many bytes as the hash has. */
export const Secret = z.string()
  .refine((text) => Buffer.byteLength(text) >= 32, "must have at least 32 bytes");

/** A public key: SPKI as PEM, whose line breaks may be written `\n`, or one JWK as JSON. */
export const PublicKey = z.string().transform((text, context): PublicKey => {
  const key = readPublicKey(text.trim());
  if (typeof key !== "string") return key;
  context.addIssue({ code: "custom", message: key });
  return z.NEVER;
});

function readPublicKey(text: string): PublicKey | string {
  const jwk = text.startsWith("{") ? readJwk(text) : readPem(text.replaceAll("\\n", "\n").trim());
  if (typeof jwk === "string") return jwk;
  const fitting = algorithmsOf(jwk);
  if (typeof fitting === "string") return fitting;
  if (jwk.alg === undefined) return { jwk, algorithms: fitting };
  const own = fitting.filter((algorithm) => algorithm === jwk.alg);
  return own.length > 0 ? { jwk, algorithms: own } : 'must have an "alg" that fits its "kty"';
}

type Jwk = Readonly<Record<string, unknown>>;

const expected = "must be a public key: SPKI as PEM, or one JWK as JSON";

function readPem(text: string): Jwk | string {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return privateKey;
  // From a private key, or a certificate, `createPublicKey` would take the public one out.
  if (!/^-----BEGIN PUBLIC KEY-----\s[\s\S]*-----END PUBLIC KEY-----$/.test(text)) return expected;
  try {
    return { ...createPublicKey(text).export({ format: "jwk" }) };
  } catch {
    return expected;
  }
}

const privateKey = "must be a public key, and is a private one: whoever has that can sign tokens";

function readJwk(text: string): Jwk | string {
  try {
    const jwk = JSON.parse(text);
    if (jwk.kty === "oct") return "must be a public key, and is a secret: that is for JWT_SECRET";
    if ("d" in jwk) return privateKey;
    if (jwk.use !== undefined && jwk.use !== "sig") return 'must have no "use" but "sig"';
    // Nothing else of it is looked at: neither does the runtime have to understand it.
    const { kty, n, e, crv, x, y, alg } = jwk;
    createPublicKey({ key: { kty, n, e, crv, x, y }, format: "jwk" });
    return Object.fromEntries(
      Object.entries({ kty, n, e, crv, x, y, alg }).filter(([, value]) => value !== undefined),
    );
  } catch {
    return expected;
  }
}

function algorithmsOf({ kty, crv, n }: Jwk): readonly Algorithm[] | string {
  if (kty === "RSA") {
    // RFC 7518, section 3.3.
    const bits = Buffer.from(String(n), "base64url").length * 8;
    return bits >= 2048 ? rsaAlgorithms : "must have at least 2048 bits";
  }
  if (kty === "EC" && crv === "P-256") return ["ES256"];
  if (kty === "EC" && crv === "P-384") return ["ES384"];
  if (kty === "EC" && crv === "P-521") return ["ES512"];
  if (kty === "OKP" && crv === "Ed25519") return edAlgorithms;
  return "must be RSA, EC with P-256, P-384 or P-521, or Ed25519";
}

/** Where keys are to be fetched. */
export const JwksUrl = z.string().transform((text, context): string => {
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "") {
    return url.href;
  }
  context.addIssue({ code: "custom", message: "must be a http or https URL without a password" });
  return z.NEVER;
});

/** Algorithms as a setting lists them. */
export const AlgorithmList = z.string()
  .transform((list) => list.split(",").map((name) => name.trim()))
  .pipe(z.array(Algorithm));

/** The settings that say whose tokens are accepted. */
export interface KeySettings {
  readonly jwtSecret?: string | undefined;
  readonly jwtPreviousSecret?: string | undefined;
  readonly jwtPublicKey?: PublicKey | undefined;
  readonly jwksUrl?: string | undefined;
  readonly jwtAlgorithms?: readonly Algorithm[] | undefined;
  readonly jwtAudience?: string | undefined;
  readonly jwtIssuer?: string | undefined;
}

/** The settings that give keys and are set, by their names in the environment. Access is on when there is one. */
export function keysOf(settings: KeySettings): readonly string[] {
  const given = {
    JWT_SECRET: settings.jwtSecret,
    JWT_PREVIOUS_SECRET: settings.jwtPreviousSecret,
    JWT_PUBLIC_KEY: settings.jwtPublicKey,
    JWKS_URL: settings.jwksUrl,
  };
  return Object.entries(given).filter(([, value]) => value !== undefined).map(([name]) => name);
}

/** The algorithms that are accepted: those of the settings, or all that the keys can be used with. */
export function algorithmsFor(settings: KeySettings): readonly Algorithm[] {
  return settings.jwtAlgorithms ?? usable(settings);
}

/** What is wrong with these settings together, if anything. */
export function keyFaults(settings: KeySettings): readonly string[] {
  if (keysOf(settings).length === 0) {
    const { jwtAlgorithms, jwtAudience, jwtIssuer } = settings;
    return Object.entries({
      JWT_ALGORITHMS: jwtAlgorithms,
      JWT_AUDIENCE: jwtAudience,
      JWT_ISSUER: jwtIssuer,
    })
      .filter(([, value]) => value !== undefined)
      .map(([name]) =>
        `${name} needs a key to verify tokens with: set JWT_SECRET, JWT_PUBLIC_KEY or JWKS_URL`
      );
  }
  const algorithms = algorithmsFor(settings);
  const useless = algorithms.filter((algorithm) => !usable(settings).includes(algorithm));
  const unused = Object.entries(usesOf(settings))
    .filter(([, uses]) => uses && !uses.some((algorithm) => algorithms.includes(algorithm)));
  return [
    ...useless.map((algorithm) => `JWT_ALGORITHMS has ${algorithm}, for which no key is set`),
    ...unused.map(([name, uses]) =>
      `JWT_ALGORITHMS has none for ${name}: add ${uses!.join(" or ")}`
    ),
  ];
}

function usable(settings: KeySettings): readonly Algorithm[] {
  const all = Object.values(usesOf(settings)).flatMap((uses) => uses ?? []);
  return algorithms.filter((algorithm) => all.includes(algorithm));
}

function usesOf(settings: KeySettings): Record<string, readonly Algorithm[] | undefined> {
  const { jwtSecret, jwtPreviousSecret, jwtPublicKey, jwksUrl } = settings;
  return {
    JWT_SECRET: jwtSecret === undefined ? undefined : ["HS256"],
    JWT_PREVIOUS_SECRET: jwtPreviousSecret === undefined ? undefined : ["HS256"],
    JWT_PUBLIC_KEY: jwtPublicKey?.algorithms,
    JWKS_URL: jwksUrl === undefined ? undefined : publicAlgorithms,
  };
}
