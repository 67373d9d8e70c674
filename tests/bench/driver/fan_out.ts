/** Publishes to one topic, either as fast as a window of messages in flight allows or at a fixed rate. */

import { Audience } from "./audience.ts";
import { Histogram, type LatencySummary } from "./histogram.ts";
import type { FanOutJob, FixedRateJob } from "./jobs.ts";
import { sleepMicroseconds } from "./libc.ts";
import { measureUsage, type Usage } from "./usage_meter.ts";

/**
 * The driver sleeps until about this share of what is on its way has come: a socket that is read once for several
 * messages costs the driver, and the server that is woken by its TCP acknowledgements, less than once for each.
 */
const napShare = 0.25;
const longestNapMs = 20;
/** Shorter sleeps cost more than they save. */
const shortestNapMs = 0.1;
const patienceMs = 10_000;

export interface FanOutResult extends Usage {
  readonly deliveries: number;
  readonly messages: number;
  readonly latency?: LatencySummary;
}

export function fanOut(job: FanOutJob): FanOutResult {
  const audience = new Audience(job);
  function runUntil(end: number): void {
    const { delivered } = audience;
    const startedAt = performance.now();
    let movedAt = startedAt;
    for (let now = startedAt; now < end; now = performance.now()) {
      const room = job.window - audience.inFlight;
      if (room > 0) audience.publish(room, now);
      const msPerDelivery = (now - startedAt) / (audience.delivered - delivered);
      const napMs = Math.min(longestNapMs, audience.outstanding * napShare * msPerDelivery);
      if (napMs > shortestNapMs) sleepMicroseconds(napMs * 1000 | 0);
      if (audience.read(50) > 0) movedAt = now;
      else if (now - movedAt > patienceMs) throw new Error("Gave up waiting for deliveries");
    }
  }
  return measure(audience, job, runUntil);
}

export function fixedRate(job: FixedRateJob): FanOutResult {
  const audience = new Audience(job);
  const intervalMs = 1000 / job.messagesPerSecond;
  let dueAt = performance.now();
  function runUntil(end: number): void {
    while (dueAt < end) {
      while (performance.now() >= dueAt) {
        audience.publish(1, dueAt);
        dueAt += intervalMs;
      }
      // Rounded down: the wait is in whole milliseconds, and the last one is spent looking.
      audience.read(Math.max(0, Math.floor(dueAt - performance.now())));
    }
  }
  return measure(audience, job, runUntil);
}

function measure(
  audience: Audience,
  job: FanOutJob | FixedRateJob,
  runUntil: (end: number) => void,
): FanOutResult {
  runUntil(performance.now() + job.warmSeconds * 1000);
  const { delivered, completed } = audience;
  if (job.recordLatency) audience.latency = new Histogram();
  const usage = measureUsage(job.pid);
  runUntil(performance.now() + job.seconds * 1000);
  return {
    ...usage(),
    deliveries: audience.delivered - delivered,
    messages: audience.completed - completed,
    ...(audience.latency ? { latency: audience.latency.summary() } : {}),
  };
}
