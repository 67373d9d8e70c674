/** Publishes to one topic, either as fast as a window of messages in flight allows or at a fixed rate. */

import { Audience } from "./audience.ts";
import { Histogram, type LatencySummary } from "./histogram.ts";
import type { FanOutJob, FixedRateJob } from "./jobs.ts";
import { Pacer } from "./pacer.ts";
import { measureUsage, type Usage } from "./usage_meter.ts";

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
    const pacer = new Pacer();
    let movedAt = performance.now();
    for (let now = movedAt; now < end; now = performance.now()) {
      const room = job.window - audience.inFlight;
      if (room > 0) audience.publish(room, now);
      pacer.nap(audience.delivered - delivered, audience.outstanding);
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
