import { assert, assertEquals } from "@std/assert";
import type { Engine } from "../src/engine.ts";
import { batchSubprotocol } from "../src/protocol.ts";
import { Subscription } from "../src/subscription.ts";
import {
  Client,
  deleteTopic,
  makeTopic,
  publish,
  Random,
  type Received,
  serve,
  subscribe,
  type TestServer,
} from "./harness.ts";
import { LateEngine } from "./late_engine.ts";

const maxHistory = 100;

interface Race {
  readonly subscribers: number;
  readonly messages: number;
  readonly random: Random;
  readonly makeEngine?: (random: Random) => Engine;
  /** Subprotocols that the clients offer. */
  readonly protocols?: string[];
}

/** What was published: for each epoch, the payloads by offset - 1. */
type Published = Map<string, number[]>;

/**
 * One connection publishes as fast as it can while others subscribe at random moments with random `last_n`, leave, and
 * come again, and the topic is deleted and made again. Answers every way in which somebody saw what was not promised.
 */
async function race(
  { subscribers, messages, random, makeEngine, protocols }: Race,
): Promise<string[]> {
  const engine = makeEngine?.(random);
  await using server = await serve({ maxHistory }, engine && { engine });
  await makeTopic(server, "t");
  const clients = await Promise.all(
    Array.from({ length: subscribers }, () => Client.connect(server, protocols)),
  );
  await using publisher = await Client.connect(server, protocols);

  const joining = clients.map((client) => joinAndLeave(client, random));
  await publishAll(server, publisher, messages, random);
  await Promise.all(joining);
  const published = collectPublished(publisher.received);
  await Promise.all(clients.map((client) => client.fence()));
  await deleteTopic(server, "t");
  for (const client of clients) {
    await client.fence();
    await client.close();
  }
  return clients.flatMap(({ received }, index) =>
    faultsOf(received, published).map((fault) => `subscriber ${index}: ${fault}`)
  );
}

async function joinAndLeave(client: Client, random: Random): Promise<void> {
  const rounds = 1 + random.below(4);
  for (let round = 0; round < rounds; round++) {
    for (let turns = random.below(30); turns > 0; turns--) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const last_n = random.below(130);
    await client.request({ ...subscribe("t", { last_n }), request_id: `${last_n}/${round}` });
    if (random.below(2) === 0) await client.request({ ...subscribe("t"), type: "unsubscribe" });
  }
}

async function publishAll(server: TestServer, publisher: Client, messages: number, random: Random) {
  for (let sent = 1; sent <= messages; sent++) {
    publisher.send({ ...publish("t", sent), request_id: String(sent) });
    if (random.below(40) === 0) await publisher.fence();
    if (random.below(500) === 0) {
      await deleteTopic(server, "t");
      await makeTopic(server, "t");
    }
  }
  await publisher.fence();
}

function collectPublished(answers: Received[]): Published {
  const published: Published = new Map();
  for (const { type, request_id, epoch, offset } of answers) {
    if (type !== "ack") continue;
    const payloads = published.get(epoch) ?? [];
    payloads[offset - 1] = Number(request_id);
    published.set(epoch, payloads);
  }
  return published;
}

/** Follows one subscriber's stream and says where it differs from what was promised. */
function faultsOf(received: Received[], published: Published): string[] {
  const faults: string[] = [];
  let subscription: { epoch: string; next: number } | undefined;
  const end = (why: string, mustBeComplete: boolean) => {
    const all = published.get(subscription?.epoch ?? "")?.length ?? 0;
    if (subscription && mustBeComplete && subscription.next !== all + 1) {
      faults.push(`${why} after ${subscription.next - 1} of ${all}`);
    }
    subscription = undefined;
  };
  for (const message of received) {
    if (message.type === "ack" && message.epoch !== undefined) {
      const lastN = Number(message.request_id.split("/")[0]);
      const replayed = Math.min(lastN, message.offset, maxHistory);
      subscription = { epoch: message.epoch, next: message.offset - replayed + 1 };
    } else if (message.type === "ack") {
      end("unsubscribed", false);
    } else if (message.type === "info" && message.msg === "topic_deleted") {
      if (!subscription) faults.push("topic_deleted without a subscription");
      end("topic_deleted", true);
    } else if (message.type === "event") {
      if (!subscription) {
        faults.push(`event ${message.offset} without a subscription`);
        continue;
      }
      const payload = published.get(subscription.epoch)?.[message.offset - 1];
      if (message.offset !== subscription.next) {
        faults.push(`offset ${message.offset} where ${subscription.next} was due`);
      } else if (message.message.payload !== payload) {
        faults.push(`offset ${message.offset} is ${message.message.payload}, not ${payload}`);
      }
      subscription.next = message.offset + 1;
    } else if (message.type === "error" && message.error.code !== "TOPIC_NOT_FOUND") {
      faults.push(`error ${JSON.stringify(message.error)}`);
    }
  }
  if (subscription) faults.push("no topic_deleted at the end");
  return faults;
}

Deno.test("subscribers that join while others publish get replay and live without gap or copy", async () => {
  const random = new Random();
  const faults = await race({ subscribers: 200, messages: 3_000, random });
  assertEquals(faults.slice(0, 10), [], `SEED=${random.seed}`);
});

Deno.test("they do when a turn's messages come in one frame", async () => {
  const random = new Random();
  const protocols = [batchSubprotocol];
  const faults = await race({ subscribers: 200, messages: 3_000, random, protocols });
  assertEquals(faults.slice(0, 10), [], `SEED=${random.seed}`);
});

Deno.test("they do with an engine that loses, doubles, delays and reorders", async () => {
  const random = new Random();
  const makeEngine = (random: Random) => new LateEngine(maxHistory, random);
  const faults = await race({ subscribers: 40, messages: 1_500, random, makeEngine });
  assertEquals(faults.slice(0, 10), [], `SEED=${random.seed}`);
});

Deno.test("the race finds copies when the duplicate check is taken out", async () => {
  const random = new Random();
  const makeEngine = (random: Random) => new LateEngine(maxHistory, random);
  const { has } = Subscription.prototype;
  Subscription.prototype.has = () => false;
  try {
    const faults = await race({ subscribers: 40, messages: 1_500, random, makeEngine });
    assert(
      faults.some((fault) => /offset \d+ where \d+ was due/.test(fault)),
      `SEED=${random.seed}`,
    );
  } finally {
    Subscription.prototype.has = has;
  }
});
