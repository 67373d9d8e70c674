import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import project from "../deno.json" with { type: "json" };
import { parseAddressRange } from "../src/address.ts";
import {
  defaultConfig,
  helpText,
  limitsOf,
  readInvocation,
  settingDescriptions,
} from "../src/config.ts";
import { refusingLimits } from "../src/limits.ts";

type Environment = Readonly<Record<string, string>>;

function read(args: readonly string[], environment: Environment = {}) {
  return readInvocation(args, (variable) => environment[variable]);
}

function configOf(args: readonly string[], environment: Environment = {}) {
  const invocation = read(args, environment);
  assert(invocation.kind === "serve", JSON.stringify(invocation));
  return invocation.config;
}

function faultsOf(args: readonly string[], environment: Environment = {}) {
  const invocation = read(args, environment);
  assert(invocation.kind === "faulty", JSON.stringify(invocation));
  return invocation.faults;
}

const ed25519 = {
  kty: "OKP",
  crv: "Ed25519",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
};

/** Every setting with a text that is not its default, and what it then is. */
const given = {
  port: ["9000", 9000],
  host: ["::1", "::1"],
  topics: [" a, b/c ,,__proto__", ["a", "b/c", "__proto__"]],
  autoCreateTopics: ["true", true],
  maxTopics: ["14", 14],
  maxHistory: ["0", 0],
  maxHistoryBytes: ["0", 0],
  maxSubscriberQueue: ["7", 7],
  idempotencyWindowSeconds: ["8", 8],
  maxIdempotencyIds: ["9", 9],
  maxMessageBytes: ["2048", 2048],
  maxJsonDepth: ["15", 15],
  maxBufferedBytes: ["4096", 4096],
  maxControlBacklogBytes: ["8192", 8192],
  maxSubscriptionsPerConnection: ["16", 16],
  maxRequestsPerSecond: ["17", 17],
  maxConnections: ["18", 18],
  maxEvictedConnections: ["19", 19],
  maxConnectionsPerAddress: ["20", 20],
  maxConnectsPerSecondPerAddress: ["21", 21],
  trustedProxies: [" 10.0.0.0/8,, ::1 ", ["10.0.0.0/8", "::1"].map(parseAddressRange)],
  proxyAddressHeader: ["X-Real-IP", "x-real-ip"],
  heartbeatIntervalSeconds: ["11", 11],
  idleTimeoutSeconds: ["12", 12],
  shutdownTimeoutSeconds: ["13", 13],
  jwtSecret: ["s".repeat(32), "s".repeat(32)],
  jwtPreviousSecret: ["é".repeat(16), "é".repeat(16)],
  jwtPublicKey: [JSON.stringify(ed25519), { jwk: ed25519, algorithms: ["EdDSA", "Ed25519"] }],
  jwksUrl: ["https://issuer.example/keys", "https://issuer.example/keys"],
  jwtAlgorithms: ["HS256, Ed25519", ["HS256", "Ed25519"]],
  jwtAudience: ["a", "a"],
  jwtIssuer: ["i", "i"],
  allowedOrigins: [
    "https://App.example.com:443, http://localhost:3000",
    ["https://app.example.com", "http://localhost:3000"],
  ],
  logLevel: ["debug", "debug"],
  logFormat: ["json", "json"],
} as const;

const texts = Object.values(given).map(([text]) => text);
const values = Object.fromEntries(
  Object.entries(given).map(([name, [, value]]) => [name, value]),
) as unknown as ReturnType<typeof defaultConfig>;

Deno.test("the settings are the contract's when nothing is said", () => {
  const config = configOf([]);
  assertEquals(config, defaultConfig());
  assertEquals(
    [config.port, config.maxHistory, config.maxSubscriberQueue, config.maxMessageBytes],
    [8000, 100, 50, 65536],
  );
  assertEquals([config.heartbeatIntervalSeconds, config.shutdownTimeoutSeconds], [30, 10]);
  assertEquals([config.topics, config.autoCreateTopics], [[], false]);
});

Deno.test("every setting can be given in the environment", () => {
  assertEquals(Object.keys(given).length, settingDescriptions.length);
  const environment = Object.fromEntries(
    settingDescriptions.map(({ variable }, index) => [variable, texts[index]!]),
  );
  assertEquals(configOf([], environment), values);
});

Deno.test("every setting can be given as a flag, with a space or with =", () => {
  const each = settingDescriptions.map(({ flag, variable }, index) => ({
    flag,
    variable,
    text: texts[index]!,
  }));
  const secrets = Object.fromEntries(
    each.filter(({ flag }) => flag === undefined).map(({ variable, text }) => [variable, text]),
  );
  assertEquals(Object.keys(secrets), ["JWT_SECRET", "JWT_PREVIOUS_SECRET"]);
  const flagged = each.filter(({ flag }) => flag !== undefined);
  const spaced = flagged.flatMap(({ flag, text }) => [flag!, text]);
  assertEquals(configOf(spaced, secrets), values);
  assertEquals(configOf(flagged.map(({ flag, text }) => `${flag}=${text}`), secrets), values);
  assertEquals(configOf(["--", ...spaced], secrets), values, "as npm's users write it");
});

Deno.test("a flag wins over the environment, and the last of two flags over the first", () => {
  assertEquals(configOf(["--port", "1"], { PORT: "2", HOST: "h" }).port, 1);
  assertEquals(configOf(["--port", "1"], { PORT: "no number" }).port, 1);
  assertEquals(configOf(["--port", "1", "--port=3"], { PORT: "2" }).port, 3);
  assertEquals(configOf(["--topics", ""], { TOPICS: "a" }).topics, []);
  assertEquals(
    configOf(["--auto-create-topics", "false"], { AUTO_CREATE_TOPICS: "true" }).autoCreateTopics,
    false,
  );
});

Deno.test("a yes-or-no flag may stand alone, wherever it stands", () => {
  assertEquals(configOf(["--auto-create-topics"]).autoCreateTopics, true);
  const { autoCreateTopics, port } = configOf(["--auto-create-topics", "--port", "5"]);
  assertEquals([autoCreateTopics, port], [true, 5]);
});

Deno.test("each bad value is refused by the name it was given under", () => {
  const cases: [setting: string, bad: string[], says: string][] = [
    [
      "PORT",
      ["", " ", "-1", "65536", "1.5", "1e3", "0x10", "eighty", "80 ", "９", "9".repeat(400)],
      "must be a whole number from 0 to 65535",
    ],
    [
      "HOST",
      ["", "a b", "a\nb", "\x1b[31m", "http://x", "x/y"],
      "must be a host name or an IP address",
    ],
    ["TOPICS", ["a b", "..", "a,,b/", "x".repeat(256)], "must be 1 to 255 letters"],
    ["AUTO_CREATE_TOPICS", ["", "yes", "1", "TRUE"], "must be true or false"],
    ["MAX_HISTORY", ["-1", "1000001", "many"], "must be a whole number from 0 to 1000000"],
    ["MAX_SUBSCRIBER_QUEUE", ["0"], "must be a whole number from 1 to 1000000"],
    ["MAX_MESSAGE_BYTES", ["0", "64k"], "must be a whole number from 1024"],
    [
      "TRUSTED_PROXIES",
      ["10.0.0.0/33", "10.0.0.0/-1", "10.1", "010.0.0.1", "::1/129", "proxy", "10.0.0.1,,x", "/8"],
      "must be addresses and ranges",
    ],
    ["PROXY_ADDRESS_HEADER", ["", "x y", "x:", "é"], "must be the name of a header"],
    ["PROXY_ADDRESS_HEADER", ["forwarded", "Forwarded"], "must be a header that lists addresses"],
    ["MAX_CONNECTIONS", ["0"], "must be a whole number from 1"],
    ["HEARTBEAT_INTERVAL_SECONDS", ["0", "30s", "0.5"], "must be a whole number from 1"],
    ["LOG_LEVEL", ["", "INFO", "constructor", "__proto__"], "must be debug"],
    ["LOG_FORMAT", ["xml"], "must be auto or text or json"],
    ["JWT_ALGORITHMS", ["", "none", "HS256,", "hs256", "HS384"], "must be a list out of HS256"],
    ["JWT_AUDIENCE", [""], "must not be empty"],
    [
      "ALLOWED_ORIGINS",
      [
        ...["", "null", "app.example.com", "https://", "https://a/", "https://a/b", "https://a?b"],
        ...["https://a#b", "https://u@a", "https://u:p@a", "ws://a", "file:///a", "https://a,*"],
        ...["https://*.example.com\\", "https://a, ", "https://a b", "https://a:99999"],
      ],
      'must be "*", or a list of origins',
    ],
  ];
  for (const [variable, bad, says] of cases) {
    const flag = settingDescriptions.find((each) => each.variable === variable)!.flag!;
    for (const text of bad) {
      const expected = (name: string, fault: string) => {
        assert(fault.startsWith(`${name} ${says}`), fault);
        assert(fault.endsWith(`, not ${JSON.stringify(text)}`), fault);
      };
      const inEnvironment = faultsOf([], { [variable]: text });
      assertEquals(inEnvironment.length, 1);
      expected(variable, inEnvironment[0]!);
      // A yes-or-no flag stands alone, so that what follows it is an argument of its own.
      const apart = variable === "AUTO_CREATE_TOPICS" ? [] : [[flag, text]];
      for (const args of [[`${flag}=${text}`], ...apart]) {
        const asFlag = faultsOf(args);
        assertEquals(asFlag.length, 1, JSON.stringify(args));
        expected(flag, asFlag[0]!);
      }
    }
  }
});

Deno.test("a bad key is refused by name, and what was given is told to nobody", () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const short = publicKey.export({ type: "spki", format: "pem" }).toString();
  const jwk = (changes: object) => JSON.stringify({ ...ed25519, ...changes });
  const noKey = "must be a public key: SPKI as PEM, or one JWK as JSON";
  const cases: [variable: string, bad: string, says: string][] = [
    ["JWT_SECRET", "", "must have at least 32 bytes"],
    ["JWT_SECRET", "short-secret-of-31-bytes-012345", "must have at least 32 bytes"],
    ["JWT_PREVIOUS_SECRET", "short-secret", "must have at least 32 bytes"],
    ["JWT_PUBLIC_KEY", "", noKey],
    ["JWT_PUBLIC_KEY", "some-secret-by-mistake", noKey],
    ["JWT_PUBLIC_KEY", "{", noKey],
    ["JWT_PUBLIC_KEY", "{}", noKey],
    ["JWT_PUBLIC_KEY", `-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----`, noKey],
    ["JWT_PUBLIC_KEY", `${short} and more`, noKey],
    ["JWT_PUBLIC_KEY", pkcs8, "must be a public key, and is a private one"],
    ["JWT_PUBLIC_KEY", pkcs8.replaceAll("\n", "\\n"), "must be a public key, and is a private one"],
    ["JWT_PUBLIC_KEY", jwk({ d: "c2VjcmV0" }), "must be a public key, and is a private one"],
    ["JWT_PUBLIC_KEY", jwk({ kty: "oct", k: "c2VjcmV0" }), "must be a public key, and is a secret"],
    ["JWT_PUBLIC_KEY", jwk({ alg: "RS256" }), 'must have an "alg" that fits its "kty"'],
    ["JWT_PUBLIC_KEY", jwk({ use: "enc" }), 'must have no "use" but "sig"'],
    ["JWT_PUBLIC_KEY", short, "must have at least 2048 bits"],
    ["JWKS_URL", "", "must be a http or https URL without a password"],
    ["JWKS_URL", "file:///etc/passwd", "must be a http or https URL without a password"],
    ["JWKS_URL", "https://user:secret@x/", "must be a http or https URL without a password"],
  ];
  for (const [variable, bad, says] of cases) {
    const faults = faultsOf([], { [variable]: bad });
    assertEquals(faults.length, 1, variable);
    assert(faults[0]!.startsWith(`${variable} ${says}`), faults[0]);
    assert(bad.length < 5 || !faults[0]!.includes(bad.slice(-20)), faults[0]);
  }
});

Deno.test("a secret on the command line is refused, and not printed", () => {
  for (const args of [["--jwt-secret", "s3cret"], ["--jwt-previous-secret=s3cret"]]) {
    const faults = faultsOf(args);
    assertEquals(faults.length, 1);
    assertMatch(
      faults[0]!,
      /^--jwt-\S+ is no flag: others can see a command line; set JWT_\S+ inst/,
    );
    assert(!faults[0]!.includes("s3cret"));
  }
});

Deno.test("settings of access that do not fit each other are refused", () => {
  const JWT_SECRET = "s".repeat(32);
  const cases: [environment: Environment, fault: string][] = [
    [
      { JWT_AUDIENCE: "a" },
      "JWT_AUDIENCE needs a key to verify tokens with: set JWT_SECRET, JWT_PUBLIC_KEY or JWKS_URL",
    ],
    [
      { JWT_ALGORITHMS: "HS256" },
      "JWT_ALGORITHMS needs a key to verify tokens with: set JWT_SECRET, JWT_PUBLIC_KEY or JWKS_URL",
    ],
    [
      { JWT_SECRET, JWT_ALGORITHMS: "HS256,RS256" },
      "JWT_ALGORITHMS has RS256, for which no key is set",
    ],
    [
      { JWT_SECRET, JWT_PUBLIC_KEY: JSON.stringify(ed25519), JWT_ALGORITHMS: "EdDSA" },
      "JWT_ALGORITHMS has none for JWT_SECRET: add HS256",
    ],
    [
      { JWT_PUBLIC_KEY: JSON.stringify(ed25519), JWT_ALGORITHMS: "EdDSA,ES256" },
      "JWT_ALGORITHMS has ES256, for which no key is set",
    ],
  ];
  for (const [environment, fault] of cases) assertEquals(faultsOf([], environment), [fault]);
});

Deno.test("a public key is read from PEM in one line or several, and from JWK", () => {
  const curves = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" } as const;
  for (const [namedCurve, algorithm] of Object.entries(curves)) {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve });
    const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
    const jwk = JSON.stringify(publicKey.export({ format: "jwk" }));
    for (const JWT_PUBLIC_KEY of [pem, pem.trim(), pem.replaceAll("\n", "\\n"), jwk]) {
      const { jwtPublicKey } = configOf([], { JWT_PUBLIC_KEY });
      assertEquals(jwtPublicKey!.algorithms, [algorithm]);
      assertEquals(jwtPublicKey!.jwk, JSON.parse(jwk));
    }
  }
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: "jwk" }), alg: "PS256", use: "sig", kid: "1" };
  const { jwtPublicKey } = configOf([], { JWT_PUBLIC_KEY: JSON.stringify(jwk) });
  assertEquals(jwtPublicKey!.algorithms, ["PS256"]);
});

Deno.test("more topics than there may be are a fault, the same one twice is one", () => {
  assertEquals(faultsOf([], { TOPICS: "a,b,c", MAX_TOPICS: "2" }), [
    "TOPICS must name at most MAX_TOPICS (2) topics, not 3",
  ]);
  assertEquals(configOf([], { TOPICS: "a,b,a", MAX_TOPICS: "2" }).maxTopics, 2);
});

Deno.test("limitsOf() tells every setting that is a limit, among them all that refuse", () => {
  const limits = limitsOf(defaultConfig());
  assertEquals(Object.values(limits).filter((value) => typeof value !== "number"), []);
  assertEquals(refusingLimits.filter((limit) => !Object.hasOwn(limits, limit)), []);
  const named = settingDescriptions.filter(({ variable }) => variable.startsWith("MAX_"));
  assertEquals(Object.keys(limits), named.map(({ variable }) => variable));
});

Deno.test("a flag without its value is refused by name", () => {
  assertEquals(faultsOf(["--port"]), ['--port must be a whole number from 0 to 65535, not ""']);
  assertEquals(faultsOf(["--port", "--host", "x"]).length, 1);
});

Deno.test("whatever is no flag is refused, each by what was written", () => {
  const unknown = [
    ...["8000", "--nope", "--nope=1", "-p", "--PORT=1", "--max_history=1", "--maxHistory=1"],
    ...[
      "--no-port",
      "--port.x=1",
      "--__proto__=1",
      "--constructor=1",
      "--toString",
      "-",
      "--helpx",
    ],
  ];
  for (const argument of unknown) {
    const faults = faultsOf([argument]);
    assertEquals(faults.length, 1, argument);
    assertStringIncludes(faults[0]!, `${JSON.stringify(argument)} is no flag`);
  }
  assertEquals(faultsOf(unknown).length, unknown.length);
});

Deno.test("all faults are reported at once", () => {
  const faults = faultsOf(["--port", "99999", "--nope", "--log-level=loud", "what"], {
    HOST: "",
    MAX_HISTORY: "-1",
    TOPICS: "a b",
    IDLE_TIMEOUT_SECONDS: "12",
  });
  assertEquals(
    faults.map((fault) => fault.split(" ")[0]).sort(),
    ["--port", '"--nope"', "--log-level", '"what"', "HOST", "MAX_HISTORY", "TOPICS"].sort(),
  );
});

Deno.test("--help and --version win over faults", () => {
  for (const help of ["--help", "-h"]) assertEquals(read([help, "--nope"]).kind, "help");
  assertEquals(read(["--port", "no", "--version"], { HOST: "" }).kind, "version");
});

Deno.test("--help tells every setting with its flag, meaning and default", () => {
  const lines = helpText().split("\n");
  assertEquals(settingDescriptions.length, Object.keys(defaultConfig()).length);
  for (const { flag, variable, meaning, default: preset } of settingDescriptions) {
    const line = lines.find((line) => line.trimStart().startsWith(`${flag ?? variable} `));
    assertStringIncludes(line!, meaning);
    assertStringIncludes(line!, preset === "" ? "" : `(${preset})`);
  }
  for (const flag of ["--help, -h", "--version"]) assertStringIncludes(helpText(), flag);
});

// ---------------------------------------------------------------------------------------------------------------------
// The command line, as a process of its own with the permissions of the `start` task.

function command(args: readonly string[], environment: Environment = {}): Deno.Command {
  const [deno, ...task] = project.tasks.start.command.split(" ");
  assertEquals(deno, "deno");
  const inherited = ["PATH", "HOME", "DENO_DIR"].map((name) => [name, Deno.env.get(name)]);
  return new Deno.Command(Deno.execPath(), {
    args: [...task, ...args],
    cwd: new URL("..", import.meta.url),
    clearEnv: true,
    env: {
      ...Object.fromEntries(inherited.filter(([, value]) => value !== undefined)),
      NO_COLOR: "1",
      ...environment,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(args: readonly string[], environment: Environment = {}) {
  const { code, stdout, stderr } = await command(args, environment).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

Deno.test("`tidings --help` prints the settings and ends with 0", async () => {
  assertEquals(await run(["--help"]), { code: 0, stdout: `${helpText()}\n`, stderr: "" });
});

Deno.test("`tidings --version` prints the version and ends with 0", async () => {
  const { code, stdout, stderr } = await run(["--version"], { PORT: "no number" });
  assertEquals([code, stdout, stderr], [0, `tidings ${project.version}\n`, ""]);
  assertMatch(stdout, /^tidings \d+\.\d+\.\d+\n$/);
});

Deno.test("`tidings` with bad settings prints each fault on a line of its own and ends with 2", async () => {
  const { code, stdout, stderr } = await run(
    ["--port=no", "--nope\n\x1b[31m"],
    { MAX_HISTORY: "-1", HOST: "a\nb" },
  );
  assertEquals([code, stdout], [2, ""]);
  assertEquals(stderr.split("\n").map((line) => line.split(" ").slice(0, 2).join(" ")), [
    'tidings: "--nope\\n\\u001b[31m"',
    "tidings: --port",
    "tidings: HOST",
    "tidings: MAX_HISTORY",
    "",
  ]);
});

Deno.test("`tidings` on a port in use says so in one line and ends with 1", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String(taken.addr.port);
  const { code, stdout, stderr } = await run(["--port", port], { HOST: "127.0.0.1" });
  assertEquals([code, stdout], [1, ""]);
  assertEquals(
    stderr,
    `tidings: Cannot listen on 127.0.0.1:${port}: the port is in use; try another one with --port\n`,
  );
});

Deno.test("`tidings` on an address that this machine has not says so in one line and ends with 1", async () => {
  const { code, stderr } = await run(["--port=0", "--host=192.0.2.1"]);
  assertEquals(code, 1);
  assertMatch(stderr, /^tidings: Cannot listen on 192\.0\.2\.1:0: [^\n]+\n$/);
});

Deno.test("`tidings` serves as flags and environment say, and ends with 0 when told to", async () => {
  const environment = { HOST: "127.0.0.1", PORT: "1", TOPICS: "a,b", LOG_LEVEL: "info" };
  await using process = command(["--port", "0"], environment).spawn();
  const lines = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let logged = "";
  while (!logged.includes("\n")) {
    const { value, done } = await lines.read();
    assert(!done, `ended after ${logged}`);
    logged += value;
  }
  const { message, host, port } = JSON.parse(logged.slice(0, logged.indexOf("\n")));
  assertEquals([message, host], ["listening", "127.0.0.1"]);
  const response = await fetch(`http://127.0.0.1:${port}/topics`);
  const { topics } = await response.json();
  assertEquals(topics, [{ name: "a", subscribers: 0 }, { name: "b", subscribers: 0 }]);

  process.kill("SIGTERM");
  while (!(await lines.read()).done);
  await process.stdout.cancel();
  assertEquals((await process.status).code, 0);
});
