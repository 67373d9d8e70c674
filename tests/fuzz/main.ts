/** `deno task fuzz`: mutated frames and requests, against the server as its own process. */

import { Random } from "../harness.ts";
import { anySeed, readNumbers } from "../program_flags.ts";
import { ServerProcess } from "../server_process.ts";
import { standBy } from "./bystander.ts";
import { topics } from "./corpus.ts";
import { Findings } from "./findings.ts";
import { fuzzFrame, fuzzTexts, textsPerConnection } from "./fuzz_frames.ts";
import { fuzzRequest } from "./fuzz_requests.ts";
import { keep } from "./keeper.ts";

const atATime = 96;
/**
 * The server may hold no more, whatever it is sent. Thousands of connections a second leave garbage: with a million
 * inputs as with a hundred thousand it was seen to go up to 580 MB and down again.
 */
const maxResidentBytes = 800e6;

const { frames, heads, seed } = readNumbers({
  task: "fuzz",
  about:
    `Feeds a server with mutations of what the tests and the README send. It must not crash, hang for
5 s, grow without bound, answer what is malformed, or find fault with itself (500, INTERNAL, 1011);
a client beside it must not notice. Ends with 1 when it did. Needs Linux (/proc).`,
  flags: {
    frames: {
      preset: 200_000,
      meaning: "WebSocket inputs: half of them messages, half raw frames",
    },
    heads: { preset: 200_000, meaning: "HTTP inputs: heads with their bodies" },
    seed: { preset: NaN, meaning: "repeats a run's inputs (any)" },
  },
});

let nextSeed = Number.isNaN(seed) ? anySeed() : seed;
console.log(`fuzz with --frames ${frames} --heads ${heads} --seed ${nextSeed}`);
const findings = new Findings();
const startedAt = performance.now();
await using server = await ServerProcess.start({
  topics: [...topics],
  maxHistoryBytes: 16e6,
  idleTimeoutSeconds: 5,
});
let hasEnded = false;
void server.status.then(() => hasEnded = true);
const before = await server.residentBytes();
const over = new AbortController();
const standing = standBy(server, findings, over.signal);
const keeping = keep(server, over.signal);

await feed("messages", Math.ceil(frames / 2 / textsPerConnection), fuzzTexts);
await feed("frames", Math.ceil(frames / 2), fuzzFrame);
await feed("requests", heads, fuzzRequest);

over.abort();
const { rounds, longestMs } = await standing;
const peak = await keeping;
const after = await server.residentBytes();
if (peak > maxResidentBytes) findings.add(`memory grew to ${mega(peak)}`);
const code = await server.stop();
if (code !== 0) findings.add(`the server ended with ${code}`);
for (const entry of server.logged) {
  // The runtime itself has a piece of advice for programs that look at `request.signal`, and prints it once.
  const isAdvice = entry.level === undefined &&
    entry.message?.startsWith("Deno.serve: request.signal");
  if (!isAdvice && entry.level !== "info" && entry.level !== "warn") {
    findings.add(`in the server's log: ${JSON.stringify(entry)}`);
  }
}
const seconds = (performance.now() - startedAt) / 1000;
console.log(`${frames + heads} inputs in ${seconds.toFixed(0)} s`);
console.log(`memory ${mega(before)} at first, ${mega(peak)} at most, ${mega(after)} at the end`);
console.log(`the client beside made ${rounds} rounds, the longest of ${longestMs.toFixed(0)} ms`);
console.log("answers:");
for (const [what, count] of [...findings.answers].sort(([, one], [, other]) => other - one)) {
  console.log(`  ${what.padEnd(24)}${count}`);
}
console.log(`${findings.count} findings`);
for (const finding of findings.kept) console.log(`! ${finding}`);
Deno.exitCode = findings.count === 0 ? 0 : 1;

/** Runs a job over and over, several at a time; each has its own random numbers, so that a seed repeats them. */
async function feed(
  what: string,
  count: number,
  job: (port: number, random: Random, findings: Findings) => Promise<void>,
): Promise<void> {
  const from = performance.now();
  let left = count;
  const work = async () => {
    while (left-- > 0 && !hasEnded) {
      await job(server.port, new Random(nextSeed++), findings);
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  if (hasEnded) findings.add("the server ended");
  const seconds = (performance.now() - from) / 1000;
  const memory = hasEnded ? "" : `, memory ${mega(await server.residentBytes())}`;
  console.log(`${what}: ${count} connections in ${seconds.toFixed(1)} s${memory}`);
}

function mega(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
