/** The sections of the benchmark, in the order in which they run. */

import type { Cell, Figure, Results, Section } from "./cells.ts";
import type { AckedPublishJob, FanOutJob } from "./driver/jobs.ts";
import type { CountResult } from "./driver/acked_publish.ts";
import type { FanOutResult } from "./driver/fan_out.ts";
import type { GrowthPoint } from "./driver/growth.ts";
import type { LatencySummary } from "./driver/histogram.ts";
import { spread } from "./statistics.ts";
import { benchTopic } from "./wire.ts";

export interface Timing {
  readonly warmSeconds: number;
  readonly seconds: number;
}

/** How long a server is sent lone messages before their time is taken. */
const loneWarmSeconds = 6;

const deliveriesPerCpuSecond: Figure = {
  title: "deliveries / CPU s",
  of: (result) => (result as FanOutResult).deliveries / (result as FanOutResult).serverCpuSeconds,
  format: formatCount,
};

const usageFigures: readonly Figure[] = [
  {
    title: "server busy",
    of: (result) => (result as FanOutResult).serverCpuSeconds / (result as FanOutResult).seconds,
    format: formatShare,
  },
  {
    title: "driver CPU / server CPU",
    of: (result) =>
      (result as FanOutResult).driverCpuSeconds / (result as FanOutResult).serverCpuSeconds,
    format: (value) => value.toFixed(2),
  },
];

const fanOutFigures: readonly Figure[] = [
  deliveriesPerCpuSecond,
  {
    title: "deliveries / s",
    of: (result) => (result as FanOutResult).deliveries / (result as FanOutResult).seconds,
    format: formatCount,
  },
  ...usageFigures,
];

const countFigures: readonly Figure[] = [
  {
    title: "publishes / CPU s",
    of: (result) => (result as CountResult).count / (result as CountResult).serverCpuSeconds,
    format: formatCount,
  },
  {
    title: "publishes / s",
    of: (result) => (result as CountResult).count / (result as CountResult).seconds,
    format: formatCount,
  },
  ...usageFigures,
];

function latencyFigure(title: string, of: (latency: LatencySummary) => number): Figure {
  return {
    title,
    of: (result) => {
      const { latency } = result as FanOutResult;
      return latency && of(latency);
    },
    format: formatMs,
  };
}

const p50 = latencyFigure("p50", ({ p50Ms }) => p50Ms);
const p95 = latencyFigure("p95", ({ p95Ms }) => p95Ms);
const p99 = latencyFigure("p99", ({ p99Ms }) => p99Ms);

/** The cells whose results the headline and the chart are made of. */
export const headlineCells = [[100, 16], [100, 64], [1000, 16], [1000, 64]] as const;

export function fanOutTitle(subscribers: number, window: number): string {
  return `${subscribers.toLocaleString("en")} subscribers, ${window} in flight`;
}

function fanOutCell(timing: Timing, title: string, changes: Partial<FanOutJob>): Cell {
  return {
    title,
    jobs: (server, dialect) => [{
      kind: "fan-out",
      ...server,
      ...timing,
      dialect,
      subscribers: 100,
      window: 16,
      payloadBytes: 64,
      recordLatency: false,
      ...changes,
    }],
  };
}

function ackedPublishCell(
  title: string,
  job: Omit<AckedPublishJob, "kind" | "port" | "pid" | "dialect">,
  topicsMade?: number,
): Cell {
  return {
    title,
    jobs: (server, dialect) => {
      if (dialect !== "tidings" && dialect !== "tidings-batch") return "it has no acks";
      if (job.commandsPerFrame > 1 && dialect !== "tidings-batch") return "it takes no arrays";
      const prefix = `of-${topicsMade}-`;
      return [
        ...(topicsMade
          ? [{ kind: "make-topics", ...server, prefix, counts: [topicsMade] } as const]
          : []),
        { kind: "acked-publish", ...server, ...job, dialect },
      ];
    },
  };
}

const tidingsModes = ["tidings", "tidings-batch"];
const fanOutContenders = [
  ...tidingsModes,
  "bare",
  "bare-turn",
  "bun",
  "nats",
  "ws",
  "socket.io",
  "reference",
];

export function sections(timing: Timing, results: Results): readonly Section[] {
  const acks = {
    ...timing,
    connections: 4,
    window: 1000,
    commandsPerFrame: 1,
    payloadBytes: 64,
    topics: [benchTopic],
  };
  return [
    {
      name: "fan-out",
      title: "Fan-out: one topic, 64-byte payloads",
      note:
        "Deliveries for each second of CPU that the server uses (user and system); at most so many messages " +
        "in flight that not all subscribers have. Every frame has the bytes of tidings' event; those of " +
        "nats-server have the payload alone.",
      contenders: fanOutContenders,
      cells: headlineCells.map(([subscribers, window]) =>
        fanOutCell(timing, fanOutTitle(subscribers, window), { subscribers, window })
      ),
      figures: fanOutFigures,
      bases: ["bare", "bun"],
      connections: 1000,
    },
    {
      name: "latency",
      title: "Latency at a fixed rate: 1,000 subscribers, half of what tidings' plain mode can do",
      note:
        "From the moment a message was due to be sent to the moment a subscriber has it, over all deliveries.",
      contenders: [...tidingsModes, "bare", "bun", "nats", "ws"],
      cells: [{
        title: "1,000 subscribers",
        jobs: (server, dialect) => {
          const title = fanOutTitle(1000, 16);
          const maximum = spread(
            results.values("fan-out", title, "tidings", deliveriesPerCpuSecond)
              .filter((value) => value !== undefined),
          );
          if (!maximum) return "the rate comes from the section fan-out, which was not measured";
          return [{
            kind: "fixed-rate",
            ...server,
            ...timing,
            dialect,
            subscribers: 1000,
            payloadBytes: 64,
            recordLatency: true,
            messagesPerSecond: maximum.median / 1000 / 2,
          }];
        },
      }],
      figures: [p99, p50, p95, ...usageFigures],
      bases: ["bare"],
      connections: 1000,
    },
    {
      name: "lone",
      title: "A lone message to one subscriber",
      note: "From publish to delivery, one message every two milliseconds.",
      contenders: [...tidingsModes, "bare", "bun", "nats", "ws", "socket.io", "reference"],
      cells: [{
        title: "1 subscriber",
        jobs: (server, dialect) => [{
          kind: "fixed-rate",
          ...server,
          ...timing,
          // At this rate it takes seconds until the code that runs is compiled.
          warmSeconds: Math.max(timing.warmSeconds, loneWarmSeconds),
          dialect,
          subscribers: 1,
          payloadBytes: 64,
          recordLatency: true,
          messagesPerSecond: 500,
        }],
      }],
      figures: [p50, p95, p99, ...usageFigures],
      bases: ["bare"],
      connections: 1,
    },
    {
      name: "acks",
      title: "Acked publishes: 4 connections, 1,000 in flight on each, no subscribers",
      note: "Every publish is parsed, checked, kept in the topic's history and acked.",
      contenders: [...tidingsModes, "bare-ack"],
      cells: [
        ackedPublishCell("a command a frame", acks),
        ackedPublishCell("20 commands a frame", {
          ...acks,
          commandsPerFrame: 20,
        }),
      ],
      figures: countFigures,
      bases: ["bare-ack"],
      connections: 4,
    },
    {
      name: "http",
      title: "Publishing over HTTP: 32 kept-alive connections",
      note:
        "One message a request, against a Hono route that parses the same body and does nothing.",
      contenders: ["tidings", "hono"],
      cells: [{
        title: "64-byte payloads",
        jobs: (server) => [{
          kind: "http-publish",
          ...server,
          ...timing,
          connections: 32,
          path: `/topics/${benchTopic}/messages`,
          payloadBytes: 64,
        }],
      }],
      figures: countFigures,
      bases: ["hono"],
      connections: 32,
    },
    {
      name: "subscribers",
      title: "Scaling: subscribers of one topic, 16 messages in flight",
      note: "Deliveries for each second of CPU that the server uses.",
      contenders: [...tidingsModes, "bare", "bun"],
      cells: [1, 10, 100, 1000, 10_000].map((subscribers) =>
        fanOutCell(timing, `subscribers: ${subscribers.toLocaleString("en")}`, {
          subscribers,
          // At 10,000 a single window of messages takes two seconds in the plain mode.
          seconds: timing.seconds * (subscribers > 1000 ? 3 : 1),
        })
      ),
      figures: fanOutFigures,
      bases: ["bare"],
      connections: 10_000,
    },
    {
      name: "payloads",
      title: "Scaling: payload size, 100 subscribers, 16 messages in flight",
      note: "Deliveries for each second of CPU that the server uses.",
      contenders: [...tidingsModes, "bare", "bun"],
      cells: [[64, "64 bytes"], [1024, "1 KiB"], [16_384, "16 KiB"]].map(([payloadBytes, title]) =>
        fanOutCell(timing, String(title), { payloadBytes: Number(payloadBytes) })
      ),
      figures: fanOutFigures,
      bases: ["bare"],
      connections: 100,
    },
    {
      name: "topics",
      title: "Scaling: topics, acked publishes to ten of them",
      note: "Publishes for each second of CPU that the server uses.",
      contenders: ["tidings"],
      cells: [10, 1000, 100_000].map((count) =>
        ackedPublishCell(`topics: ${count.toLocaleString("en")}`, {
          ...acks,
          topics: Array.from({ length: 10 }, (_, index) => `of-${count}-${index}`),
        }, count)
      ),
      figures: countFigures,
      bases: [],
      connections: 4,
    },
    {
      name: "connections",
      title: "10,000 idle subscribed connections",
      note:
        "Memory (VmRSS) that the server has more than before, for each connection. Growth is the last quarter " +
        "against the first: 1 is linear.",
      contenders: [...tidingsModes, "bare", "bun", "nats", "ws"],
      cells: [{
        title: "10,000 connections",
        jobs: (server, dialect) => [{
          kind: "connect",
          ...server,
          dialect,
          counts: [2500, 5000, 7500, 10_000],
          settleSeconds: 1,
        }],
      }],
      figures: growthFigures("connection"),
      bases: ["bare"],
      connections: 10_000,
    },
    {
      name: "making-topics",
      title: "Making 100,000 topics over HTTP",
      note: "Growth is the last quarter against the first: 1 is linear.",
      contenders: ["tidings"],
      cells: [{
        title: "100,000 topics",
        jobs: (server) => [{
          kind: "make-topics",
          ...server,
          prefix: "made-",
          counts: [25_000, 50_000, 75_000, 100_000],
        }],
      }],
      figures: growthFigures("topic"),
      bases: [],
      connections: 16,
    },
  ];
}

/** The least that shows where tidings stands, in less than a minute. */
export function shortPlan(all: readonly Section[]): readonly Section[] {
  const cells = [fanOutTitle(100, 64), fanOutTitle(1000, 16)];
  const taking = [...tidingsModes, "bare", "bare-ack", "bun"];
  return all.filter(({ name }) => ["fan-out", "acks", "lone"].includes(name)).map((section) => ({
    ...section,
    contenders: section.contenders.filter((name) => taking.includes(name)),
    cells: section.name === "fan-out"
      ? section.cells.filter(({ title }) => cells.includes(title))
      : section.cells,
  }));
}

function growthFigures(thing: string): readonly Figure[] {
  const points = (result: unknown) => result as readonly GrowthPoint[];
  const perThing = (of: (point: GrowthPoint) => number) => (result: unknown) => {
    const last = points(result).at(-1)!;
    return of(last) / last.count;
  };
  const growth = (of: (point: GrowthPoint) => number) => (result: unknown) => {
    const [first, ...rest] = points(result).map(of);
    const [beforeLast, last] = rest.slice(-2);
    return (last! - beforeLast!) / first!;
  };
  const format = (value: number) => value.toFixed(2);
  return [
    {
      title: `bytes / ${thing}`,
      of: perThing((point) => point.residentBytes),
      format: formatCount,
    },
    {
      title: `server CPU µs / ${thing}`,
      of: perThing((point) => point.serverCpuSeconds * 1e6),
      format: (value) => value.toFixed(0),
    },
    { title: "growth of memory", of: growth((point) => point.residentBytes), format },
    { title: "growth of CPU", of: growth((point) => point.serverCpuSeconds), format },
  ];
}

export function formatCount(value: number): string {
  if (value >= 999_500) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 9_995) return `${(value / 1e3).toFixed(0)} k`;
  return Math.round(value).toLocaleString("en");
}

function formatMs(value: number): string {
  return value < 1 ? `${(value * 1000).toFixed(0)} µs` : `${value.toFixed(2)} ms`;
}

function formatShare(value: number): string {
  return `${(value * 100).toFixed(0)} %`;
}
