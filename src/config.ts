/** Settings: one schema, from which the environment, the flags, `--help` and the README's table come. */

import { parseArgs } from "@std/cli/parse-args";
import { z } from "zod";
import { parseAddressRange } from "./address.ts";
import { OriginList } from "./origins.ts";
import { TopicName } from "./protocol.ts";
import { AlgorithmList, JwksUrl, keyFaults, PublicKey, Secret } from "./token_keys.ts";

/** How one setting is read, what it is when nothing is said, and what it means. */
interface Setting {
  /** Reads the setting's text. */
  readonly schema: z.ZodType<unknown, string>;
  /** As text, the way a user would write it. Without one the setting is `undefined` when nothing is said. */
  readonly default?: string;
  readonly meaning: string;
  /** Whether it is kept from the command line, which other users of the machine can see. */
  readonly isSecret?: true;
  /** Whether a wrong value may be a secret, and is told to nobody. */
  readonly isHidden?: true;
}

function whole(min: number, max: number) {
  const expected = `must be a whole number from ${min} to ${max}`;
  return z.string().regex(/^\d{1,15}$/, expected).transform(Number)
    .pipe(z.number().min(min, expected).max(max, expected));
}

function oneOf<const T extends string>(...values: readonly [T, ...T[]]) {
  return z.enum(values, `must be ${values.join(" or ")}`);
}

const yesOrNo = oneOf("true", "false").transform((value) => value === "true");

const topicList = z.string()
  .transform((list) => list.split(",").map((name) => name.trim()).filter((name) => name !== ""))
  .pipe(z.array(TopicName));

const addressRangeList = z.string().transform((list, { issues, value }) =>
  list.split(",").map((text) => text.trim()).filter((text) => text !== "").flatMap((text) => {
    const range = parseAddressRange(text);
    if (range) return [range];
    const message = "must be addresses and ranges such as 10.0.0.0/8, separated by commas";
    issues.push({ code: "custom", message, input: value });
    return [];
  })
);

const headerName = z.string()
  .regex(/^[!#$%&'*+.^`|~\w-]+$/, "must be the name of a header")
  // RFC 7239 has a grammar of its own, which is not read.
  .refine((name) => name.toLowerCase() !== "forwarded", "must be a header that lists addresses")
  .transform((name) => name.toLowerCase());

const seconds = whole(1, 86_400);

const someText = z.string().min(1, "must not be empty");

/** Every setting. `MAX_HISTORY` in the environment is `--max-history` as a flag and `maxHistory` in here. */
const settings = {
  port: {
    schema: whole(0, 65_535),
    default: "8000",
    meaning: "port to listen on; 0 takes a free one",
  },
  host: {
    schema: z.string().regex(/^[\w.:%-]+$/, "must be a host name or an IP address"),
    default: "0.0.0.0",
    meaning: "address to listen on; 127.0.0.1 keeps it to this machine",
  },
  topics: {
    schema: topicList,
    default: "",
    meaning: "topics made at start, separated by commas",
  },
  autoCreateTopics: {
    schema: yesOrNo,
    default: "false",
    meaning: "whether publishing or subscribing to an unknown topic makes it",
  },
  maxTopics: {
    schema: whole(1, 100_000_000),
    default: "10000",
    meaning: "topics that there may be",
  },
  maxHistory: {
    schema: whole(0, 1_000_000),
    default: "100",
    meaning: "messages that each topic keeps for replay",
  },
  maxHistoryBytes: {
    schema: whole(0, 1_099_511_627_776),
    default: "268435456",
    meaning:
      "bytes that all topics together keep for replay; the largest give up their oldest first",
  },
  maxSubscriberQueue: {
    schema: whole(1, 1_000_000),
    default: "50",
    meaning: "messages that wait for one slow subscription before the oldest is dropped",
  },
  idempotencyWindowSeconds: {
    schema: seconds,
    default: "120",
    meaning: "seconds for which an idempotent message is remembered",
  },
  maxIdempotencyIds: {
    schema: whole(1, 1_000_000),
    default: "1000",
    meaning: "idempotent messages that are remembered for each topic",
  },
  maxMessageBytes: {
    schema: whole(1_024, 16_777_216),
    default: "65536",
    meaning: "bytes of the longest frame or request body that is read",
  },
  maxJsonDepth: {
    schema: whole(1, 10_000),
    default: "128",
    meaning: "levels that a payload may nest",
  },
  maxBufferedBytes: {
    schema: whole(1_024, 1_073_741_824),
    default: "1048576",
    meaning: "bytes that may wait in one connection's socket before its subscriptions queue",
  },
  maxControlBacklogBytes: {
    schema: whole(1_024, 1_073_741_824),
    default: "1048576",
    meaning: "bytes of answers that may wait for one connection before it is closed with 4008",
  },
  maxSubscriptionsPerConnection: {
    schema: whole(1, 1_000_000),
    default: "128",
    meaning: "subscriptions that one connection may have",
  },
  maxRequestsPerSecond: {
    schema: whole(0, 1_000_000),
    default: "0",
    meaning: "requests that one connection may make in a second; 0 for any number",
  },
  maxConnections: {
    schema: whole(1, 10_000_000),
    default: "10000",
    meaning: "WebSockets that there may be, those included that are told to close and not gone",
  },
  maxEvictedConnections: {
    schema: whole(1, 10_000_000),
    default: "1000",
    meaning: "WebSockets that may be told to close and not gone before no new one is accepted",
  },
  maxConnectionsPerAddress: {
    schema: whole(0, 10_000_000),
    default: "0",
    meaning: "WebSockets that there may be from one address; 0 for any number",
  },
  maxConnectsPerSecondPerAddress: {
    schema: whole(0, 1_000_000),
    default: "0",
    meaning: "WebSockets that may be opened in a second from one address; 0 for any number",
  },
  trustedProxies: {
    schema: addressRangeList,
    default: "",
    meaning:
      "addresses and ranges of proxies whose word is taken for a client's address, separated by commas",
  },
  proxyAddressHeader: {
    schema: headerName,
    default: "x-forwarded-for",
    meaning: "header in which trusted proxies list whom they speak for",
  },
  heartbeatIntervalSeconds: {
    schema: seconds,
    default: "30",
    meaning: "seconds between two heartbeats to each connection",
  },
  idleTimeoutSeconds: {
    schema: seconds,
    default: "30",
    meaning: "seconds without a sign of life after which a peer is taken for dead",
  },
  shutdownTimeoutSeconds: {
    schema: seconds,
    default: "10",
    meaning: "seconds that a shutdown may take at most",
  },
  jwtSecret: {
    schema: Secret,
    isSecret: true,
    isHidden: true,
    meaning: "secret that tokens are signed with (HS256), 32 bytes or more; turns access on",
  },
  jwtPreviousSecret: {
    schema: Secret,
    isSecret: true,
    isHidden: true,
    meaning: "secret whose tokens are accepted too, while a new one takes its place",
  },
  jwtPublicKey: {
    schema: PublicKey,
    isHidden: true,
    meaning: "public key of who signs tokens, as PEM (SPKI) or JWK; turns access on",
  },
  jwksUrl: {
    schema: JwksUrl,
    isHidden: true,
    meaning: "address of the public keys of who signs tokens; turns access on",
  },
  jwtAlgorithms: {
    schema: AlgorithmList,
    meaning: "algorithms that tokens may be signed with; all that fit the keys when not set",
  },
  jwtAudience: {
    schema: someText,
    meaning: "what a token must have as, or among, its `aud`",
  },
  jwtIssuer: {
    schema: someText,
    meaning: "what a token must have as its `iss`",
  },
  allowedOrigins: {
    schema: OriginList,
    meaning:
      "origins whose pages may ask, separated by commas, or *; when not set, all, or with access on the server's own",
  },
  logLevel: {
    schema: oneOf("debug", "info", "warn", "error"),
    default: "info",
    meaning: "least level that is logged: debug, info, warn or error",
  },
  logFormat: {
    schema: oneOf("auto", "text", "json"),
    default: "auto",
    meaning: "text, json, or auto: text on a terminal and JSON lines elsewhere",
  },
} as const satisfies Record<string, Setting>;

type SettingName = keyof typeof settings;

/** The settings as the program uses them. */
export type Config = {
  readonly [Name in SettingName]:
    | z.output<(typeof settings)[Name]["schema"]>
    | ((typeof settings)[Name] extends { readonly default: string } ? never : undefined);
};

/** One setting as a document shows it. */
export interface SettingDescription {
  /** Its name in the environment. */
  readonly variable: string;
  /** Its name on the command line; secrets have none there. */
  readonly flag: string | undefined;
  readonly default: string;
  readonly meaning: string;
}

/** What the command line asks for. */
export type Invocation =
  | { readonly kind: "serve" | "health"; readonly config: Config }
  | { readonly kind: "help" | "version" }
  | { readonly kind: "faulty"; readonly faults: readonly string[] };

const table: Readonly<Record<SettingName, Setting>> = settings;

const names = Object.keys(settings) as SettingName[];

const namesWithFlag = names.filter((name) => !table[name].isSecret);

/** With those that are refused, so that their values are taken for values. */
const flags: ReadonlySet<string> = new Set(names.map(flagOf));

/** All settings, in the order in which a document shows them. */
export const settingDescriptions: readonly SettingDescription[] = names.map((name) => ({
  variable: variableOf(name),
  flag: table[name].isSecret ? undefined : flagOf(name),
  default: table[name].default ?? "",
  meaning: table[name].meaning,
}));

/** Reads flags and environment; flags win. Every fault is found, not only the first. */
export function readInvocation(
  args: readonly string[],
  environment: (variable: string) => string | undefined,
): Invocation {
  const faults: string[] = [];
  const given = parseArgs(withValues(args), {
    string: namesWithFlag.map((name) => flagOf(name).slice(2)),
    boolean: ["help", "version", "health"],
    alias: { h: "help" },
    unknown: (argument) => {
      faults.push(describeUnknown(argument));
      return false;
    },
  });
  if (given.help) return { kind: "help" };
  if (given.version) return { kind: "version" };

  const config: Record<string, unknown> = {};
  for (const name of names) {
    const values = given[flagOf(name).slice(2)] as string | string[] | undefined;
    const flag = Array.isArray(values) ? values.at(-1) : values;
    const text = flag ?? environment(variableOf(name));
    const source = flag === undefined ? variableOf(name) : flagOf(name);
    const read = readSetting(name, text);
    if ("value" in read) config[name] = read.value;
    else if (table[name].isHidden) faults.push(`${source} ${read.fault}`);
    else faults.push(`${source} ${read.fault}, not ${JSON.stringify(text)}`);
  }
  if (faults.length === 0) {
    faults.push(...keyFaults(config as Config), ...faultsBetween(config as Config));
  }
  return faults.length > 0
    ? { kind: "faulty", faults }
    : { kind: given.health ? "health" : "serve", config: config as Config };
}

/** What a setting is, by its text or by default. */
function readSetting(name: SettingName, text = table[name].default): Read {
  // Only what nobody sets is off: somebody who sets a key to nothing, by mistake, would open the server to all.
  if (text === undefined) return { value: undefined };
  const read = table[name].schema.safeParse(text);
  return read.success ? { value: read.data } : { fault: read.error.issues[0]!.message };
}

type Read = { readonly value: unknown } | { readonly fault: string };

function describeUnknown(argument: string): string {
  const given = argument.split("=")[0]!;
  const secret = names.find((name) => table[name].isSecret && flagOf(name) === given);
  return secret
    ? `${given} is no flag: others can see a command line; set ${variableOf(secret)} instead`
    : `${JSON.stringify(argument)} is no flag of tidings; --help lists them`;
}

/** What is wrong with settings of which each alone is right. */
function faultsBetween({ topics, maxTopics }: Config): string[] {
  const count = new Set(topics).size;
  if (count <= maxTopics) return [];
  return [`TOPICS must name at most MAX_TOPICS (${maxTopics}) topics, not ${count}`];
}

/** Every setting that is a limit, by its name in the environment: those that begin with `MAX_`. */
export function limitsOf(config: Config): Record<string, number> {
  const limits = names.filter((name) => name.startsWith("max"));
  return Object.fromEntries(limits.map((name) => [variableOf(name), config[name] as number]));
}

/** The text that `--help` prints. */
export function helpText(): string {
  const width = Math.max(...settingDescriptions.map(({ flag = "" }) => flag.length));
  const line = ({ variable, flag = variable, default: preset, meaning }: SettingDescription) =>
    `  ${flag.padEnd(width)}  ${meaning}${preset === "" ? "" : ` (${preset})`}`;
  const lines = settingDescriptions.filter(({ flag }) => flag !== undefined).map(line);
  const secrets = settingDescriptions.filter(({ flag }) => flag === undefined).map(line);
  return `tidings: a pub/sub server. Topics over WebSocket and HTTP, in one binary, without configuration.

Usage: tidings [flags]
       tidings token --sub NAME [flags]   make a token for trying out; token --help tells more

Flags, with what they are when nothing is said. Each is a variable of the environment too
(--max-history is MAX_HISTORY); a flag wins over its variable.

${lines.join("\n")}
  ${"--health".padEnd(width)}  ask the running server how it is; ends with 0 if well, else 1
  ${"--help, -h".padEnd(width)}  print this
  ${"--version".padEnd(width)}  print the version

Secrets are variables of the environment alone:

${secrets.join("\n")}

Once it runs, GET / tells what to try.
`;
}

/** The settings when nothing is said, changed by `changes`. */
export function defaultConfig(changes: Partial<Config> = {}): Config {
  const defaults = names.map((name) => {
    const read = readSetting(name);
    return [name, "value" in read ? read.value : undefined];
  });
  return { ...(Object.fromEntries(defaults) as Config), ...changes };
}

/**
 * The arguments with each value joined to its flag by `=`: the parser would take one that is empty or negative for an
 * argument of its own. A yes-or-no flag may stand alone: `--auto-create-topics` means `--auto-create-topics=true`.
 */
function withValues(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const argument = args[index]!;
    const next = args[index + 1];
    if (argument === "--") {
      // Whoever is used to npm writes `deno task start -- --port 9000`, and there is nothing but flags to follow.
      continue;
    } else if (argument === flagOf("autoCreateTopics") && !/^(true|false)$/.test(next ?? "")) {
      joined.push(`${argument}=true`);
    } else if (flags.has(argument) && next !== undefined && !next.startsWith("--")) {
      joined.push(`${argument}=${next}`);
      index++;
    } else {
      joined.push(argument);
    }
  }
  return joined;
}

function variableOf(name: SettingName): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function flagOf(name: SettingName): string {
  return `--${variableOf(name).toLowerCase().replaceAll("_", "-")}`;
}
