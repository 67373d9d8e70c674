/** All actors of a soak, from their first connection to their last check. */

import { Random } from "../harness.ts";
import { pause } from "../pause.ts";
import { direct } from "./director.ts";
import { FaultProxy } from "./fault_proxy.ts";
import { auditHistory, publishOverHttp } from "./http_actors.ts";
import { Ledger } from "./ledger.ts";
import type { OpenLink } from "./link.ts";
import type { MemorySample } from "./memory.ts";
import { NarrowLink } from "./narrow_link.ts";
import { churn, sendBadInput } from "./passers_by.ts";
import { Publisher } from "./publisher.ts";
import { ServerLife } from "./server_life.ts";
import { StoppableLink } from "./stoppable_link.ts";
import { Subscriber } from "./subscriber.ts";
import { Tamper, type TamperKind } from "./tamper.ts";
import { TcpLink } from "./tcp_link.ts";
import { Verdict } from "./verdict.ts";
import { serverSettings, volatileTopics, type World } from "./world.ts";

const allTopics = [...serverSettings.topics, ...volatileTopics];
/** How long clients may take to come to rest when nothing disturbs them any more. */
const settleMs = 30_000;
const memorySampleMs = 1_000;

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** No faults, but events altered on their way to those behind the proxy. */
  readonly tamper?: TamperKind;
}

export interface SoakResult {
  readonly verdict: Verdict;
  /** Of the second half, in which the server is not started again. */
  readonly memory: readonly MemorySample[];
}

export async function soak({ seconds, seed, tamper }: SoakOptions): Promise<SoakResult> {
  const verdict = new Verdict();
  const ledger = new Ledger(verdict);
  const memory: MemorySample[] = [];
  const calm = new AbortController();
  const over = new AbortController();
  let seeds = seed;
  const random = () => new Random(seeds++);

  await using server = new ServerLife(ledger, verdict);
  await server.start();
  await using proxy = await FaultProxy.start({
    random: random(),
    target: () => server.port,
    ...(tamper && { tamper: () => new Tamper(tamper) }),
  });
  const world: World = {
    verdict,
    ledger,
    port: () => server.port,
    proxyPort: () => proxy.port,
    life: () => server.life,
    calm: calm.signal,
    over: over.signal,
  };
  const cast = makeCast(world, random);
  const sampling = sampleMemory(server, world, (bytes) => {
    memory.push({ seconds: performance.now() / 1000, bytes });
  });
  const passing = [
    ...[1, 2, 3].map((n) =>
      churn(world, { who: `churner ${n}`, topics: allTopics, random: random() })
    ),
    sendBadInput(world, { who: "bad input", topics: allTopics, random: random() }),
    auditHistory(world, allTopics, random()),
  ];
  const staying = [...cast.subscribers, ...cast.publishers];
  const running = staying.map((actor) => actor.run());
  const posting = publishOverHttp(world, allTopics, random());

  const startedAt = performance.now();
  const halfAt = startedAt + seconds * 500;
  const endAt = startedAt + seconds * 1000;
  void pause(seconds * 500, over.signal).then(() => memory.length = 0);
  if (tamper) await pause(seconds * 1000);
  else {await direct(
      { server, proxy, ...cast, verdict, random: random(), over: over.signal },
      halfAt,
      endAt,
    );}

  calm.abort();
  await posting;
  for (const actor of staying) {
    if (await actor.settle(settleMs)) continue;
    if (!tamper) verdict.breach("hung", `${actor.who} did not come to rest: ${actor.state}`);
  }
  for (const subscriber of cast.subscribers) subscriber.checkPartings();
  over.abort();
  await Promise.all([...running, ...passing, sampling]);
  return { verdict, memory };
}

function makeCast(world: World, random: () => Random) {
  const direct: OpenLink = (onText) => TcpLink.open(world.port(), onText);
  const far: OpenLink = (onText) => TcpLink.open(world.proxyPort(), onText);
  const stoppableLink: OpenLink = (onText) => StoppableLink.open(world.port(), onText);
  const narrow = (bytesPerTick: number): OpenLink => async (onText) => {
    const link = await NarrowLink.open(world.port(), onText);
    link.bytesPerTick = bytesPerTick;
    return link;
  };
  const subscriber = (
    who: string,
    nature: "healthy" | "far" | "slow",
    open: OpenLink,
    overflow?: "drop_oldest" | "catch_up" | "latest" | "disconnect",
  ) => new Subscriber(world, { who, nature, open, overflow, topics: allTopics });
  const publisher = (who: string, open: OpenLink, perSecond: number) =>
    new Publisher(world, { who, open, perSecond, topics: allTopics, random: random() });

  const stoppable = [
    subscriber("stoppable 1", "slow", stoppableLink),
    subscriber("stoppable 2", "slow", stoppableLink, "catch_up"),
  ];
  const stallable = [
    subscriber("stalling 1", "slow", narrow(65_536)),
    subscriber("stalling 2", "slow", narrow(65_536), "catch_up"),
    subscriber("stalling 3", "slow", narrow(65_536), "latest"),
    subscriber("stalling 4", "slow", narrow(65_536), "disconnect"),
  ];
  return {
    stoppable,
    stallable,
    subscribers: [
      subscriber("healthy 1", "healthy", direct),
      subscriber("healthy 2", "healthy", direct, "catch_up"),
      subscriber("healthy 3", "healthy", direct, "latest"),
      ...[1, 2, 3, 4, 5].map((n) => subscriber(`far ${n}`, "far", far)),
      subscriber("slow 1", "slow", narrow(400)),
      subscriber("slow 2", "slow", narrow(400), "catch_up"),
      ...stallable,
      ...stoppable,
    ],
    publishers: [
      ...[1, 2].map((n) => publisher(`publisher ${n}`, direct, 100)),
      ...[1, 2, 3].map((n) => publisher(`far publisher ${n}`, far, 60)),
    ],
  };
}

async function sampleMemory(
  server: ServerLife,
  world: World,
  take: (bytes: number) => void,
): Promise<void> {
  while (!world.over.aborted) {
    try {
      take(await server.residentBytes());
    } catch {
      // It is being started again.
    }
    await pause(memorySampleMs, world.over);
  }
}
