/** Makes more and more of something, and measures what it has cost the server at each point. */

import { cpuSeconds, residentBytes } from "../usage.ts";
import { dialects } from "../wire.ts";
import { Connections } from "./connections.ts";
import { HttpClients, postRequest } from "./http.ts";
import type { ConnectJob, MakeTopicsJob } from "./jobs.ts";
import { sleepMicroseconds } from "./libc.ts";

/** How many topics are asked for at a time. */
const topicMakers = 16;

/** What all that was made so far has cost, as against the server with nothing. */
export interface GrowthPoint {
  readonly count: number;
  readonly seconds: number;
  readonly serverCpuSeconds: number;
  readonly residentBytes: number;
}

/** Opens connections that subscribe and then say nothing. */
export function connect(job: ConnectJob): readonly GrowthPoint[] {
  const dialect = dialects[job.dialect];
  const connections = new Connections(job.port);
  return measureGrowth(
    job,
    (count) => connections.open(count - connections.size, dialect, dialect.subscribe),
  );
}

export function makeTopics(job: MakeTopicsJob): readonly GrowthPoint[] {
  let made = 0;
  let wanted = 0;
  const clients = new HttpClients(
    job.port,
    topicMakers,
    () => made < wanted ? postRequest("/topics", `{"name":"${job.prefix}${made++}"}`) : undefined,
  );
  return measureGrowth({ ...job, settleSeconds: 0 }, (count) => {
    wanted = count;
    clients.runUntil(() => clients.answered === wanted);
  });
}

function measureGrowth(
  job: Pick<ConnectJob, "pid" | "counts" | "settleSeconds">,
  growTo: (count: number) => void,
): readonly GrowthPoint[] {
  const before = { bytes: residentBytes(job.pid), cpu: cpuSeconds(job.pid) };
  let seconds = 0;
  return job.counts.map((count) => {
    const startedAt = performance.now();
    growTo(count);
    seconds += (performance.now() - startedAt) / 1000;
    const serverCpuSeconds = cpuSeconds(job.pid) - before.cpu;
    sleepMicroseconds(job.settleSeconds * 1e6);
    return {
      count,
      seconds,
      serverCpuSeconds,
      residentBytes: residentBytes(job.pid) - before.bytes,
    };
  });
}
