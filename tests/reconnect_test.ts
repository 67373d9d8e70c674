import { assertEquals } from "@std/assert";
import { batchSubprotocol } from "../src/protocol.ts";
import { publish, Random, range } from "./harness.ts";
import { ServerProcess } from "./server_process.ts";
import { TcpClient } from "./tcp_client.ts";

const clients = 1_000;

/** A client that remembers where it stands, and what it has seen, over all its connections. */
class Wanderer {
  readonly seen: number[] = [];
  /** Answers to `since` that were not a recovery. */
  readonly refused: string[] = [];
  readonly #protocol: string;
  #client!: TcpClient;
  #epoch = "";
  #offset = 0;
  #taken = 0;

  constructor(protocol = "") {
    this.#protocol = protocol;
  }

  async connect(port: number): Promise<void> {
    this.#client = await TcpClient.connect(port, "/ws", this.#protocol);
    this.#taken = 0;
    const since = this.#epoch === "" ? undefined : { epoch: this.#epoch, offset: this.#offset };
    this.#client.send({ type: "subscribe", topic: "t", client_id: "w", ...(since && { since }) });
    await this.#client.fence();
    const ack = this.#client.received[0];
    if (since && !ack.recovered) {
      this.refused.push(ack.reason);
      this.#offset = ack.offset;
    }
    this.#epoch = ack.epoch;
    this.#take();
  }

  /** Loses the connection, and whatever was on its way. */
  async lose(): Promise<void> {
    await this.#client.abort();
    this.#take();
  }

  async finish(last: number): Promise<void> {
    await this.#client.until(() => {
      this.#take();
      return this.#offset === last;
    });
    await this.#client.abort();
  }

  #take(): void {
    const fresh = this.#client.received.slice(this.#taken);
    this.#taken = this.#client.received.length;
    for (const { type, offset } of fresh) {
      if (type !== "event") continue;
      this.seen.push(offset);
      this.#offset = offset;
    }
  }
}

for (const protocol of ["", batchSubprotocol]) {
  Deno.test(`1,000 clients that lose their connection under load and come back with since miss nothing ${protocol}`, async () => {
    const random = new Random();
    await using server = await ServerProcess.start({ topics: ["t"], maxHistory: 1000 });
    const wanderers = Array.from({ length: clients }, () => new Wanderer(protocol));
    for (const wanderer of wanderers) await wanderer.connect(server.port);

    // Every client loses its connection once, in a random order, twenty at a time.
    const unlucky = wanderers.map((wanderer) => ({ wanderer, rank: random.below(2 ** 30) }))
      .sort((one, other) => one.rank - other.rank).map(({ wanderer }) => wanderer);
    const losing = Promise.all(Array.from({ length: 20 }, async () => {
      for (let wanderer; (wanderer = unlucky.pop()) !== undefined;) {
        await wanderer.lose();
        await wanderer.connect(server.port);
      }
    }));
    const publisher = await TcpClient.connect(server.port);
    let messages = 0;
    while (unlucky.length > 0 || messages * clients < 100_000) {
      const message = { id: crypto.randomUUID(), payload: ++messages };
      publisher.send({ type: "publish", topic: "t", message });
      await publisher.fence();
    }
    await losing;
    await Promise.all(wanderers.map((wanderer) => wanderer.finish(messages)));
    await publisher.close();

    const expected = range(1, messages);
    for (const { seen, refused } of wanderers) {
      assertEquals(refused, []);
      assertEquals(seen, expected, `SEED=${random.seed}`);
    }
    console.log(`  ${clients * messages} deliveries`);
  });
}

Deno.test("a client that comes back too late is told that it missed something", async () => {
  await using server = await ServerProcess.start({ topics: ["t"], maxHistory: 10 });
  const wanderer = new Wanderer();
  await wanderer.connect(server.port);
  await wanderer.lose();
  const publisher = await TcpClient.connect(server.port);
  for (let n = 1; n <= 20; n++) publisher.send(publish("t", n));
  await publisher.fence();
  await wanderer.connect(server.port);
  publisher.send(publish("t", 21));
  await wanderer.finish(21);
  await publisher.close();
  assertEquals([wanderer.refused, wanderer.seen], [["evicted"], [21]]);
});
