/** Clients that come, do a little of everything, and go: the operations that a server sees in an hour. */

import { deleteTopic, makeTopic, publish, type Random, subscribe } from "../harness.ts";
import { pause } from "../pause.ts";
import { TcpClient } from "../tcp_client.ts";

/** How many operations were made, by kind. */
export class Operations {
  readonly counts = new Map<string, number>();

  add(kind: string, count = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + count);
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }
}

export interface LifeOptions {
  readonly server: { readonly port: number; readonly url: string };
  readonly random: Random;
  readonly operations: Operations;
}

/** A client with topics of its own, which others see too: from its connection to its end. */
export async function live({ server, random, operations }: LifeOptions): Promise<void> {
  const topics = Array.from({ length: 2 }, () => `churn/${crypto.randomUUID()}`);
  for (const topic of topics) await makeTopic(server, topic);
  const protocol = random.below(3) === 0 ? "tidings.batch.v1" : "";
  const client = await TcpClient.connect(server.port, "/ws", protocol);
  operations.add("connect");
  operations.add("create topic", topics.length);
  for (let left = 10; left > 0; left--) {
    const topic = topics[random.below(topics.length)]!;
    const client_id = `client ${random.below(3)}`;
    const overflow = ["drop_oldest", "catch_up", "latest", "disconnect"][random.below(4)];
    client.send(subscribe(topic, { client_id, overflow, last_n: random.below(5) }));
    for (let left = 4; left > 0; left--) {
      client.send({ ...publish(topic, "x".repeat(100)), idempotent: random.below(2) === 0 });
    }
    if (random.below(2) === 0) {
      client.send({ type: "unsubscribe", topic, client_id });
      operations.add("unsubscribe");
    }
    operations.add("subscribe");
    operations.add("publish", 4);
    if (random.below(4) === 0) await client.fence();
  }
  // A topic may go while it has subscribers, and subscribers may go while they have a topic.
  const isTidy = random.below(2) === 0;
  if (isTidy) { for (const topic of topics) await deleteTopic(server, topic); }
  if (random.below(2) === 0) {
    await client.abort();
    operations.add("abort");
  } else {
    await client.fence();
    await client.close();
    operations.add("close");
  }
  if (!isTidy) { for (const topic of topics) await deleteTopic(server, topic); }
  operations.add("delete topic", topics.length);
}

/** Lives, several at a time and spread over the time there is, until so many operations are made and it is over. */
export async function churn(
  options: LifeOptions,
  { operations, seconds }: { operations: number; seconds: number },
): Promise<void> {
  const startedAt = performance.now();
  const from = options.operations.total;
  const share = () => (performance.now() - startedAt) / 1000 / seconds;
  const made = () => (options.operations.total - from) / operations;
  const work = async () => {
    while (made() < 1 || share() < 1) {
      if (made() > share()) await pause(5);
      else await live(options);
    }
  };
  await Promise.all(Array.from({ length: 24 }, work));
}
