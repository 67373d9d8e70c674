/**
 * Fills 10,000 topics with 100 messages of 16 KiB, far more than history may hold, while `/health` is asked all the time:
 * memory beside the budget, and the longest wait. `deno task bench:fill`
 */

import { encodeFrame } from "../frames.ts";
import { TcpClient } from "../tcp_client.ts";
import { launchTidings } from "./contenders/tidings.ts";
import { startServerProcess } from "./processes.ts";
import { residentBytes } from "./usage.ts";

const topics = 10_000;
const messagesPerTopic = 100;
const payload = JSON.stringify("x".repeat(16_384));
/** The setting's default. */
const budgetBytes = 268_435_456;

await using server = await startServerProcess(launchTidings());
const url = `http://127.0.0.1:${server.port}`;
const before = residentBytes(server.pid);
for (let topic = 0; topic < topics; topic++) {
  await postJson("/topics", JSON.stringify({ name: `topic-${topic}` }));
}

let isFilling = true;
const waits: number[] = [];
const asking = (async () => {
  while (isFilling) {
    const startedAt = performance.now();
    await (await fetch(`${url}/health`)).body?.cancel();
    waits.push(performance.now() - startedAt);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
})();

const publisher = await TcpClient.connect(server.port);
let peak = 0;
for (let round = 0; round < messagesPerTopic; round++) {
  for (let topic = 0; topic < topics; topic++) {
    publisher.sendFrame(publishFrame(`topic-${topic}`));
    if (topic % 50 === 49) await publisher.fence();
    if (topic % 50 === 49) publisher.received.length = 0;
  }
  peak = Math.max(peak, residentBytes(server.pid));
}
isFilling = false;
await asking;

const { total } = await (await fetch(`${url}/stats`)).json();
waits.sort((one, other) => one - other);
console.log(`${total.messages} messages published, ${total.evicted} given up for the budget`);
console.log(`history holds ${mega(total.history.bytes)} of ${mega(budgetBytes)}`);
console.log(`the process grew by ${mega(peak - before)} at its peak`);
console.log(
  `/health was asked ${waits.length} times and took ${waits.at(-1)!.toFixed(1)} ms at the most, ` +
    `${waits[Math.floor(waits.length * 0.99)]!.toFixed(1)} ms at p99`,
);
await publisher.close();

function publishFrame(topic: string): Uint8Array<ArrayBuffer> {
  const message = `{"id":"${crypto.randomUUID()}","payload":${payload}}`;
  const command = `{"type":"publish","topic":"${topic}","message":${message}}`;
  return encodeFrame(1, new TextEncoder().encode(command));
}

async function postJson(path: string, body: string): Promise<void> {
  const headers = { "content-type": "application/json" };
  await (await fetch(url + path, { method: "POST", headers, body })).body?.cancel();
}

function mega(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
