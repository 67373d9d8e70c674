import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { RequestError } from "../src/errors.ts";
import { createLog } from "../src/log.ts";
import { Algorithm, type KeySettings, PublicKey } from "../src/token_keys.ts";
import { Tokens } from "../src/tokens.ts";
import { Client, type Received, serve, until } from "./harness.ts";
import { claimsOf, previousSecret, secret, sign } from "./issuer.ts";
import { VerifyGate } from "./verify_gate.ts";

const silent = createLog({ level: "error", format: "json", write: () => {} });

interface Pair {
  readonly jwk: Record<string, unknown>;
  signed(header?: Record<string, unknown>): Promise<string>;
}

async function makePair(algorithm: string, extra: Record<string, unknown> = {}): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return {
    jwk: { ...await exportJWK(publicKey), ...extra },
    signed: (header = {}) =>
      new SignJWT(claimsOf()).setProtectedHeader({ alg: algorithm, ...header }).sign(privateKey),
  };
}

async function refusal(tokens: Tokens, token: string): Promise<string> {
  const { body } = await assertRejects(() => tokens.verify(token), RequestError);
  return `${body.code}: ${body.message}`;
}

Deno.test("each algorithm of public keys is verified, and only with the key of its kind", async () => {
  const algorithms = Algorithm.options.filter((algorithm) => algorithm !== "HS256");
  const pairs = new Map<string, Pair>();
  for (const algorithm of algorithms) pairs.set(algorithm, await makePair(algorithm));
  for (const algorithm of algorithms) {
    const jwtPublicKey = PublicKey.parse(JSON.stringify(pairs.get(algorithm)!.jwk));
    const tokens = await Tokens.create({ jwtPublicKey }, silent);
    const { sub } = await tokens.verify(await pairs.get(algorithm)!.signed());
    assertEquals(sub, "alice", algorithm);
    for (const [other, pair] of pairs) {
      if (other === algorithm) continue;
      const says = jwtPublicKey.algorithms.includes(other as Algorithm)
        ? "its signature is not right"
        : `its "alg" must be ${jwtPublicKey.algorithms.join(" or ")}`;
      const told = await refusal(tokens, await pair.signed());
      assertEquals(told, `UNAUTHORIZED: Cannot accept token: ${says}`, `${other} at ${algorithm}`);
    }
  }
});

Deno.test("JWT_ALGORITHMS narrows what a key is used for", async () => {
  const pair = await makePair("RS256");
  const jwtPublicKey = PublicKey.parse(JSON.stringify(pair.jwk));
  const tokens = await Tokens.create({ jwtPublicKey, jwtAlgorithms: ["PS256"] }, silent);
  assertStringIncludes(await refusal(tokens, await pair.signed()), 'its "alg" must be PS256');
});

Deno.test("while a secret is replaced, tokens of both are accepted", async () => {
  const settings: KeySettings = { jwtSecret: secret, jwtPreviousSecret: previousSecret };
  const tokens = await Tokens.create(settings, silent);
  for (const key of [secret, previousSecret]) {
    assertEquals((await tokens.verify(sign(claimsOf(), { key }))).sub, "alice");
  }
  const after = await Tokens.create({ jwtSecret: secret }, silent);
  assertStringIncludes(
    await refusal(after, sign(claimsOf(), { key: previousSecret })),
    "its signature is not right",
  );
});

Deno.test("aud and iss are looked at only where the settings name one", async () => {
  const token = sign(claimsOf({ aud: ["other", "tidings"], iss: "anybody" }));
  const tokens = await Tokens.create({ jwtSecret: secret }, silent);
  assertEquals((await tokens.verify(token)).sub, "alice");
  const strict = await Tokens.create({ jwtSecret: secret, jwtAudience: "tidings" }, silent);
  assertEquals((await strict.verify(token)).sub, "alice");
});

Deno.test("a token may be 8,192 characters long", async () => {
  const tokens = await Tokens.create({ jwtSecret: secret }, silent);
  const empty = sign(claimsOf({ padding: "" })).length;
  const padded = (bytes: number) => sign(claimsOf({ padding: "x".repeat(bytes) }));
  const bytes = Math.floor((8192 - empty) * 3 / 4);
  assert(padded(bytes).length <= 8192 && padded(bytes + 3).length > 8192);
  assertEquals((await tokens.verify(padded(bytes))).sub, "alice");
  assertStringIncludes(await refusal(tokens, padded(bytes + 3)), "at most 8192 characters");
});

/** An issuer's address, with keys that change, and that can be down. */
class KeyServer implements AsyncDisposable {
  keys: Record<string, unknown>[] = [];
  status = 200;
  asked = 0;
  /** What an answer waits for. */
  gate: Promise<void> = Promise.resolve();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async () => {
      this.asked++;
      await this.gate;
      return Response.json({ keys: this.keys }, { status: this.status });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/keys`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server.shutdown();
  }
}

/** Lets the wall clock run ahead, until it is disposed of. */
function ahead(ms: number): Disposable {
  const { now } = Date;
  Date.now = () => now() + ms;
  return {
    [Symbol.dispose]: () => {
      Date.now = now;
    },
  };
}

Deno.test("keys of JWKS_URL are fetched once, found by kid, and fetched again when an issuer has new ones", async () => {
  await using issuer = new KeyServer();
  const first = await makePair("RS256", { kid: "first" });
  const second = await makePair("ES256", { kid: "second" });
  const symmetric = { kty: "oct", k: "c2VjcmV0", kid: "third", alg: "HS256" };
  issuer.keys = [first.jwk, symmetric];
  const tokens = await Tokens.create({ jwksUrl: issuer.url }, silent);
  assertEquals(issuer.asked, 0, "nobody is asked before there is a token");

  for (let n = 0; n < 5; n++) await tokens.verify(await first.signed({ kid: "first" }));
  assertEquals(issuer.asked, 1);
  const noKey =
    "UNAUTHORIZED: Cannot accept token: no key of the server is the one that it was signed with";
  assertEquals(await refusal(tokens, await second.signed({ kid: "second" })), noKey);
  assertStringIncludes(
    await refusal(tokens, sign(claimsOf(), { key: "secret", header: { kid: "third" } })),
    'its "alg" must be RS256',
  );
  assertEquals(issuer.asked, 1, "who sends unknown kids does not make it ask again at once");

  issuer.keys = [first.jwk, second.jwk];
  using _ = ahead(11_000);
  assertEquals((await tokens.verify(await second.signed({ kid: "second" }))).sub, "alice");
  assertEquals(issuer.asked, 2);

  issuer.keys = [second.jwk];
  using __ = ahead(700_000);
  assertEquals(await refusal(tokens, await first.signed({ kid: "first" })), noKey);
  assertEquals(issuer.asked, 3);
});

Deno.test("an issuer with several keys and a token without kid is told what is missing", async () => {
  await using issuer = new KeyServer();
  const pairs = [await makePair("ES256"), await makePair("ES256")];
  issuer.keys = pairs.map(({ jwk }, index) => ({ ...jwk, kid: String(index) }));
  const tokens = await Tokens.create({ jwksUrl: issuer.url }, silent);
  assertStringIncludes(await refusal(tokens, await pairs[0]!.signed()), 'must have a "kid"');
});

Deno.test("while JWKS_URL is down, clients are told UNAVAILABLE, and it is not asked for every token", async () => {
  await using issuer = new KeyServer();
  const pair = await makePair("ES256");
  issuer.keys = [pair.jwk];
  issuer.status = 500;
  await using server = await serve({ jwksUrl: issuer.url });
  const token = await pair.signed();
  const ask = () =>
    fetch(`${server.url}/auth/ticket`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
    });

  for (let n = 0; n < 20; n++) {
    const response = await ask();
    assertEquals(response.status, 503);
    assertEquals(await response.json(), {
      error: {
        code: "UNAVAILABLE",
        message: "Cannot verify token: the keys of its issuer cannot be fetched now",
      },
    });
  }
  assert(issuer.asked <= 3, `asked ${issuer.asked} times`);
  await using client = await Client.connect(server);
  const { error } = await client.request({ type: "auth", token });
  assertEquals(error.code, "UNAVAILABLE");
  const warned = server.logged.filter(({ level }) => level === "warn");
  assertEquals(warned[0].message, "keys cannot be fetched");

  issuer.status = 200;
  let answer: Received;
  await until(async () => {
    answer = await client.request({ type: "auth", token });
    return answer.type === "ack";
  }, "the keys are there");
  assertEquals(answer.sub, "alice", "on the same connection");
});

Deno.test("what comes while a token is verified is answered in order, and only so much of it is kept", async () => {
  await using issuer = new KeyServer();
  const pair = await makePair("ES256");
  issuer.keys = [pair.jwk];
  const { promise, resolve: open } = Promise.withResolvers<void>();
  issuer.gate = promise;
  // An issuer that is asked ends only when it has answered.
  using _ = { [Symbol.dispose]: open };
  await using server = await serve({ jwksUrl: issuer.url, maxControlBacklogBytes: 20_000 });
  await using patient = await Client.connect(server);
  await using flooding = await Client.connect(server);
  const token = await pair.signed();
  for (const client of [patient, flooding]) {
    client.send({ type: "auth", token, request_id: "auth" });
  }
  patient.send({ type: "ping", request_id: "first" });
  patient.send({ type: "nonsense", request_id: "second" });
  const padding = "x".repeat(1000);
  // The last of them is too much. More would meet a closed socket, and the reset hide why it was closed.
  for (let n = 0; n < 20; n++) flooding.send({ type: "ping", padding });
  const { code, reason } = await flooding.closed;
  assertEquals([code, reason], [4008, "LIMIT_EXCEEDED"]);
  assertEquals(flooding.received.map(({ error }) => error), [{
    code: "LIMIT_EXCEEDED",
    message: "Cannot take more requests: MAX_CONTROL_BACKLOG_BYTES (20000) is reached",
  }]);

  using verifying = new VerifyGate();
  verifying.open();
  open();
  await patient.find(({ request_id }) => request_id === "second");
  await until(() => verifying.ended === 2, "both tokens are verified");
  assertEquals(
    patient.received.map(({ type, request_id }) => [type, request_id]),
    [["ack", "auth"], ["pong", "first"], ["error", "second"]],
  );
});
