/** `tidings token`: makes tokens for trying out. In earnest they come from where people log in. */

import { parseArgs } from "@std/cli/parse-args";
import { SignJWT } from "jose";
import { type Grant, GrantSet } from "./grants.ts";
import { Secret } from "./token_keys.ts";

/** What the command answers: a token or the help, or what is wrong with what it was told. */
export type TokenCommandResult =
  | { readonly output: string }
  | { readonly faults: readonly string[] };

const unitSeconds = new Map([["s", 1], ["m", 60], ["h", 3600], ["d", 86_400]]);

const help =
  `tidings token: makes a token, signed with JWT_SECRET of the environment (HS256), and prints it.

Usage: JWT_SECRET=… tidings token --sub NAME [flags]

  --sub NAME              whose token it is
  --grant TOPICS=ACTIONS  what it allows where, as "orders.*=subscribe,publish"; may be given several times
  --admin                 it allows everything
  --expires-in TIME       how long it is valid, as 90s, 15m, 1h or 7d (1h)
  --audience TEXT         its aud (JWT_AUDIENCE)
  --issuer TEXT           its iss (JWT_ISSUER)

TOPICS is a topic, in which * stands for one segment, ** at the end for all that follow, and {sub} for NAME; segments
are separated by . / or :. ACTIONS are subscribe, publish, history and presence.`;

/** Runs the command with what stands behind `token` on the command line. */
export async function runTokenCommand(
  args: readonly string[],
  environment: (variable: string) => string | undefined,
): Promise<TokenCommandResult> {
  const faults: string[] = [];
  const given = parseArgs(args, {
    string: ["sub", "grant", "expires-in", "audience", "issuer"],
    boolean: ["admin", "help"],
    collect: ["grant"],
    alias: { h: "help" },
    unknown: (argument) => {
      faults.push(`${JSON.stringify(argument)} is no flag of tidings token; --help lists them`);
      return false;
    },
  });
  if (given.help) return { output: help };

  // The parser takes `--admin=no` for `--admin`.
  if (args.some((argument) => argument.startsWith("--admin="))) {
    faults.push("--admin takes no value");
  }
  const sub = textOf(given.sub) ?? "";
  if (sub.length < 1 || sub.length > 255) faults.push("--sub must be 1 to 255 characters");
  const lifetimeSeconds = readDuration(textOf(given["expires-in"]) ?? "1h");
  if (lifetimeSeconds === undefined) faults.push("--expires-in must be as 90s, 15m, 1h or 7d");
  const topics: Grant[] = [];
  for (const text of given.grant as string[]) {
    const grant = readGrant(text);
    const grants = GrantSet.read([grant], sub);
    topics.push(grant);
    if (typeof grants === "string") faults.push(describeGrantFault(text, grants));
  }
  for (const name of ["audience", "issuer"]) {
    if (textOf(given[name]) === "") faults.push(`--${name} must not be empty`);
  }
  const secret = environment("JWT_SECRET");
  if (secret === undefined) {
    faults.push("JWT_SECRET is not set: set it to the secret of the server, 32 bytes or more");
  } else if (!Secret.safeParse(secret).success) {
    faults.push("JWT_SECRET must have at least 32 bytes");
  }
  if (faults.length > 0) return { faults };

  const audience = textOf(given.audience) ?? environment("JWT_AUDIENCE");
  const issuer = textOf(given.issuer) ?? environment("JWT_ISSUER");
  const nowSeconds = Math.floor(Date.now() / 1000);
  const claims = {
    sub,
    ...(topics.length > 0 && { topics }),
    ...(given.admin === true && { admin: true }),
    ...(audience !== undefined && { aud: audience }),
    ...(issuer !== undefined && { iss: issuer }),
    iat: nowSeconds,
    exp: nowSeconds + lifetimeSeconds!,
  };
  const output = await new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .sign(new TextEncoder().encode(secret));
  return { output };
}

/** The last of a flag that was given several times. */
function textOf(value: unknown): string | undefined {
  return (Array.isArray(value) ? value.at(-1) : value) as string | undefined;
}

function readDuration(text: string): number | undefined {
  const [, number, unit] = /^([1-9]\d{0,4})([smhd])$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(number) * unitSeconds.get(unit)!;
}

/** Not yet known to be right: that is found out as the server will. */
function readGrant(text: string): Grant {
  const equals = text.lastIndexOf("=");
  const allow = text.slice(equals + 1).split(",").map((action) => action.trim());
  return { match: text.slice(0, Math.max(0, equals)), allow: allow as Grant["allow"] };
}

/** Says of a flag what was said of the claim that it stands for. */
function describeGrantFault(text: string, fault: string): string {
  const told = fault
    .replace(/^"topics\.0\.match"/, "TOPICS")
    .replace(/^"topics\.0\.allow[^"]*"/, "each of ACTIONS");
  return `--grant ${JSON.stringify(text)}: ${told}`;
}
