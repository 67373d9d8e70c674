/** Plants one fault after the other: each kind in turn, in an order, at places and for times chosen at random. */

import type { Random } from "../harness.ts";
import { pause } from "../pause.ts";
import { type FaultProxy, type ProxyFault, proxyFaults } from "./fault_proxy.ts";
import type { NarrowLink } from "./narrow_link.ts";
import type { ServerLife } from "./server_life.ts";
import type { StoppableLink } from "./stoppable_link.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Verdict } from "./verdict.ts";
import { volatileTopics } from "./world.ts";

/** What the director plays with. */
export interface Stage {
  readonly server: ServerLife;
  readonly proxy: FaultProxy;
  readonly subscribers: readonly Subscriber[];
  /** Those of them that can be stopped, and those that can be told not to read. */
  readonly stoppable: readonly Subscriber[];
  readonly stallable: readonly Subscriber[];
  readonly verdict: Verdict;
  readonly random: Random;
  /** Aborted when everything ends. */
  readonly over: AbortSignal;
}

const longestPauseMs = 1_600;
const longestFaultMs = 6_000;

/** Kinds that end the server. They belong to the first half: memory is measured in the second one. */
const serverFaults = ["SIGTERM of the server", "SIGKILL of the server"] as const;
const otherFaults = [
  ...proxyFaults,
  ...proxyFaults,
  "SIGSTOP of a client",
  "SIGSTOP of a client",
  "stalled reader",
  "stalled reader",
  "topic deleted",
  "topic deleted",
] as const;

type Fault = (typeof serverFaults)[number] | (typeof otherFaults)[number];

/** Plays until `endAt`, as of `performance.now()`; spares the server from `spareAt` on. */
export async function direct(stage: Stage, spareAt: number, endAt: number): Promise<void> {
  const { random, subscribers } = stage;
  // A short run too ends the server, both ways: these are drawn from the end.
  let deck: Fault[] = [...shuffle([...otherFaults], random), ...shuffle([...serverFaults], random)];
  while (performance.now() < endAt) {
    await pause(200 + random.below(longestPauseMs - 200));
    for (const subscriber of subscribers) subscriber.checkPartings();
    const mayEndServer = performance.now() < spareAt;
    if (deck.length === 0) deck = shuffle([...serverFaults, ...otherFaults], random);
    const fault = deck.pop()!;
    if (isServerFault(fault) && !mayEndServer) continue;
    if (await plant(fault, stage)) stage.verdict.fault(fault);
  }
}

/** False when there was nothing to plant it in. */
async function plant(fault: Fault, stage: Stage): Promise<boolean> {
  const { server, proxy, stoppable, stallable, random, over } = stage;
  const ms = 300 + random.below(longestFaultMs - 300);
  switch (fault) {
    case "SIGTERM of the server":
      await server.restart("SIGTERM");
      return true;
    case "SIGKILL of the server":
      await server.restart("SIGKILL");
      return true;
    case "topic deleted": {
      const topic = volatileTopics[random.below(volatileTopics.length)]!;
      await server.deleteTopic(topic);
      await pause(random.below(400));
      await server.makeTopic(topic);
      return true;
    }
    case "SIGSTOP of a client": {
      const link = oneOf(stoppable, random).link as StoppableLink | undefined;
      link?.stop();
      if (link) void pause(ms, over).then(() => link.goOn());
      return link !== undefined;
    }
    case "stalled reader": {
      const link = oneOf(stallable, random).link as NarrowLink | undefined;
      if (!link || link.bytesPerTick === 0) return false;
      const before = link.bytesPerTick;
      link.bytesPerTick = 0;
      void pause(ms, over).then(() => link.bytesPerTick = before);
      return true;
    }
    default:
      return proxy.plant(fault satisfies ProxyFault, ms, random);
  }
}

function isServerFault(fault: Fault): boolean {
  return (serverFaults as readonly string[]).includes(fault);
}

function oneOf<T>(list: readonly T[], random: Random): T {
  return list[random.below(list.length)]!;
}

function shuffle<T>(list: T[], random: Random): T[] {
  for (let left = list.length; left > 1; left--) {
    const chosen = random.below(left);
    [list[left - 1], list[chosen]] = [list[chosen]!, list[left - 1]!];
  }
  return list;
}
