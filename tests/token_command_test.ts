/** `tidings token` as it is run: what it prints, what a server makes of that, and what it says of mistakes. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import project from "../deno.json" with { type: "json" };
import { serve } from "./harness.ts";
import { secret } from "./issuer.ts";
import { root } from "./programs.ts";

const decoder = new TextDecoder();

/** Runs `deno task token` as deno.json has it. */
async function run(args: readonly string[], env: Record<string, string> = { JWT_SECRET: secret }) {
  const command = project.tasks.token.command.split(" ").slice(1);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    cwd: root,
    clearEnv: true,
    env: { HOME: Deno.env.get("HOME") ?? "/", ...env },
  }).output();
  const faults = decoder.decode(stderr).split("\n").filter((line) => line !== "");
  return { code, output: decoder.decode(stdout), faults };
}

function claimsIn(token: string) {
  const bytes = Uint8Array.fromBase64(token.split(".")[1]!, { alphabet: "base64url" });
  return JSON.parse(decoder.decode(bytes));
}

Deno.test("a server with the same secret gives a printed token what was asked for, and no more", async () => {
  const environment = {
    jwtSecret: secret,
    jwtAudience: "tidings",
    jwtIssuer: "https://issuer.example",
  };
  await using server = await serve({ ...environment, topics: ["orders.eu", "alice/inbox"] });
  const variables = {
    JWT_SECRET: secret,
    JWT_AUDIENCE: "tidings",
    JWT_ISSUER: "https://issuer.example",
  };
  const ask = (token: string, method: string, path: string, body?: unknown) =>
    fetch(server.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }).then(async (response) => {
      await response.body?.cancel();
      return response.status;
    });

  const grants = ["--grant", "orders.*=publish, history", "--grant", "{sub}/**=history"];
  const alice = await run(["--sub", "alice", ...grants, "--expires-in", "15m"], variables);
  assertEquals([alice.code, alice.faults], [0, []]);
  const token = alice.output.trimEnd();
  assertEquals(alice.output, `${token}\n`);
  const { iat, ...claims } = claimsIn(token);
  assertEquals(claims, {
    sub: "alice",
    topics: [
      { match: "orders.*", allow: ["publish", "history"] },
      { match: "{sub}/**", allow: ["history"] },
    ],
    aud: "tidings",
    iss: "https://issuer.example",
    exp: iat + 900,
  });
  assertEquals(await ask(token, "POST", "/topics/orders.eu/messages", { payload: 1 }), 200);
  assertEquals(await ask(token, "GET", "/topics/orders.eu/messages"), 200);
  assertEquals(await ask(token, "GET", "/topics/alice%2Finbox/messages"), 200);
  assertEquals(await ask(token, "POST", "/topics/alice%2Finbox/messages", { payload: 1 }), 403);
  assertEquals(await ask(token, "GET", "/topics"), 403);

  const root = await run(["--sub=root", "--admin"], variables);
  assertEquals(await ask(root.output.trimEnd(), "GET", "/topics"), 200);
  const nobody = await run(["--sub", "nobody"], variables);
  assertEquals(await ask(nobody.output.trimEnd(), "GET", "/topics/orders.eu/messages"), 403);
  const elsewhere = await run(["--sub", "root", "--admin", "--audience", "other"], variables);
  assertEquals(await ask(elsewhere.output.trimEnd(), "GET", "/topics"), 401);
});

const mistakes: [args: string[], faults: string[]][] = [
  [[], ["--sub must be 1 to 255 characters"]],
  [["--sub", "x".repeat(256)], ["--sub must be 1 to 255 characters"]],
  [["--sub", "a", "--admin=no"], ["--admin takes no value"]],
  [["--sub", "a", "--expires-in", "soon"], ["--expires-in must be as 90s, 15m, 1h or 7d"]],
  [["--sub", "a", "--expires-in", "0s"], ["--expires-in must be as 90s, 15m, 1h or 7d"]],
  [["--sub", "a", "--audience="], ["--audience must not be empty"]],
  [["--sub", "a", "--issuer="], ["--issuer must not be empty"]],
  [["--sub", "a", "--topics", "t"], ['"--topics" is no flag of tidings token; --help lists them']],
  [["--sub", "a", "b"], ['"b" is no flag of tidings token; --help lists them']],
  [
    ["--sub", "a b", "--grant", "orders=fly", "--grant", "a*=publish", "--grant", "{sub}=publish"],
    [
      '--grant "orders=fly": each of ACTIONS must be subscribe, publish, history, presence',
      '--grant "a*=publish": TOPICS must have "*" and "**" as whole segments only',
      `--grant "{sub}=publish": TOPICS must not have {sub}, as this token's "sub" is no single segment of a topic`,
    ],
  ],
  [
    ["--sub", "a", "--grant", "orders"],
    ['--grant "orders": each of ACTIONS must be subscribe, publish, history, presence'],
  ],
];

Deno.test("each mistake has its line, and no token is made", async () => {
  for (const [args, faults] of mistakes) {
    const result = await run(args);
    assertEquals(result, { code: 2, output: "", faults: faults.map((line) => `tidings: ${line}`) });
  }
});

Deno.test("without a secret that a server would take, it says what to set", async () => {
  const without = await run(["--sub", "a"], {});
  assertEquals([without.code, without.output, without.faults], [2, "", [
    "tidings: JWT_SECRET is not set: set it to the secret of the server, 32 bytes or more",
  ]]);
  const short = "a-secret-too-short";
  const { code, output, faults } = await run(["--sub", "a"], { JWT_SECRET: short });
  assertEquals([code, output, faults], [2, "", [
    "tidings: JWT_SECRET must have at least 32 bytes",
  ]]);
});

Deno.test("--help tells all flags, and needs no secret", async () => {
  const { code, output, faults } = await run(["--help"], {});
  assertEquals([code, faults], [0, []]);
  for (const flag of ["--sub", "--grant", "--admin", "--expires-in", "--audience", "--issuer"]) {
    assertStringIncludes(output, flag);
  }
  assert(output.includes("JWT_SECRET"));
});
