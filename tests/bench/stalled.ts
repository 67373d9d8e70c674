/**
 * What 500 subscribers that do not read cost a publisher and 500 that do: publishes per second, beside the same run
 * without them, and memory. `deno task bench:stalled`
 */

import { encodeFrame, handshake } from "../frames.ts";
import { launchTidings } from "./contenders/tidings.ts";
import { close, connectTcp, send } from "./driver/libc.ts";
import { drive, startServerProcess } from "./processes.ts";
import { spread } from "./statistics.ts";
import { residentBytes } from "./usage.ts";
import { benchTopic } from "./wire.ts";

const subscribers = 500;
const rounds = 5;
const seconds = 3;
/** Bytes that one connection holds unwritten at the most: four times the setting's default, within one turn. */
const maxHeldBytes = 4 * 1_048_576;
const policies = ["nobody stalls", "drop_oldest", "catch_up", "latest", "disconnect"] as const;

type Policy = (typeof policies)[number];

interface Run {
  readonly messagesPerSecond: number;
  readonly messagesPerCpuSecond: number;
  readonly grownBytes: number;
}

const runs = new Map<Policy, Run[]>(policies.map((policy) => [policy, []]));
for (let round = 1; round <= rounds; round++) {
  for (const policy of policies) {
    runs.get(policy)!.push(await measure(policy));
    console.error(`round ${round} of ${rounds}: ${policy}`);
  }
}

const base = runs.get("nobody stalls")!;
const bound = subscribers * maxHeldBytes / 1e6;
console.log(`\n${subscribers} that read, ${subscribers} that do not; median of ${rounds} rounds.`);
console.log(
  "With each policy the 500 that read got every message: the publisher waits for them.\n",
);
for (const policy of policies) {
  const ratios = (value: (run: Run) => number) =>
    spread(runs.get(policy)!.map((run, round) => value(run) / value(base[round]!)))!;
  const rate = ratios((run) => run.messagesPerSecond);
  const cpu = ratios((run) => run.messagesPerCpuSecond);
  const grown = spread(runs.get(policy)!.map(({ grownBytes }) => grownBytes / 1e6))!;
  console.log(
    `${policy.padEnd(14)} publishes/s ${show(rate)}  publishes/CPU s ${show(cpu)}  ` +
      `memory +${grown.median.toFixed(0)} MB (bound ${
        policy === "nobody stalls" ? 0 : bound.toFixed(0)
      } MB)`,
  );
}

async function measure(policy: Policy): Promise<Run> {
  await using server = await startServerProcess(launchTidings());
  const { port, pid } = server;
  const before = residentBytes(pid);
  const stalled: number[] = [];
  if (policy !== "nobody stalls") {
    for (let n = 0; n < subscribers; n++) stalled.push(stall(port, policy));
    await fill(port);
  }
  const grownBytes = residentBytes(pid) - before;
  const outcome = await drive({
    kind: "fan-out",
    dialect: "tidings",
    port,
    pid,
    subscribers,
    payloadBytes: 64,
    window: 16,
    warmSeconds: 1,
    seconds,
    recordLatency: false,
  });
  stalled.forEach(close);
  if (!("result" in outcome)) throw new Error(JSON.stringify(outcome));
  const { messages, serverCpuSeconds, seconds: took } = outcome.result;
  return {
    messagesPerSecond: messages / took,
    messagesPerCpuSecond: messages / serverCpuSeconds,
    grownBytes,
  };
}

/** Subscribes, and reads nothing. */
function stall(port: number, overflow: Policy): number {
  const descriptor = connectTcp(port, { isNarrow: true });
  const command = { type: "subscribe", topic: benchTopic, client_id: "stalled", overflow };
  send(descriptor, handshake("/ws"));
  send(descriptor, encodeFrame(1, new TextEncoder().encode(JSON.stringify(command))));
  return descriptor;
}

/** Publishes until everybody who does not read is behind, or cut off. */
async function fill(port: number): Promise<void> {
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    const { topics } = await (await fetch(`${url}/stats`)).json();
    const { subscribers: present, lagging, messages } = topics[benchTopic];
    if (messages === 0 && present < subscribers) continue;
    if (lagging === present) return;
    const response = await fetch(`${url}/topics/${benchTopic}/messages`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ payload: "x".repeat(60_000) }),
    });
    await response.body?.cancel();
  }
}

function show({ median, min, max }: { median: number; min: number; max: number }): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
}
