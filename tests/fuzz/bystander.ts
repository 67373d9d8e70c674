/** A client that does nothing wrong, beside one that does: it must not notice. */

import { pause } from "../pause.ts";
import { makeTopic, publish, subscribe } from "../harness.ts";
import { TcpClient } from "../tcp_client.ts";
import { patienceMs } from "./exchange.ts";
import type { Findings } from "./findings.ts";

/** Publishes to itself until `signal` is aborted. Answers how many rounds it made and the longest, in milliseconds. */
export async function standBy(
  server: { readonly url: string; readonly port: number },
  findings: Findings,
  signal: AbortSignal,
): Promise<{ rounds: number; longestMs: number }> {
  // A name that nobody guesses.
  const topic = `beside-${crypto.randomUUID()}`;
  await makeTopic(server, topic);
  await using client = await TcpClient.connect(server.port);
  client.send(subscribe(topic));
  await client.fence();
  let rounds = 0;
  let longestMs = 0;
  while (!signal.aborted) {
    const startedAt = performance.now();
    client.received.length = 0;
    client.send(publish(topic, rounds));
    const timer = setTimeout(() => void client.abort(), patienceMs);
    const isAlive = await client.fence();
    clearTimeout(timer);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    const offsets = client.received.filter(({ type }) => type === "event").map(({ offset }) =>
      offset
    );
    rounds++;
    if (!isAlive) {
      findings.add("the bystander was cut off, or waited for more than 5 s");
      break;
    }
    if (offsets.length !== 1 || offsets[0] !== rounds) {
      findings.add(`the bystander got ${JSON.stringify(offsets)} when ${rounds} was due`);
    }
    await pause(10, signal);
  }
  return { rounds, longestMs };
}
