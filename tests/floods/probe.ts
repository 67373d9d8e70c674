/**
 * A publisher and a subscriber as a process of their own: publishes at a fixed rate, says when it begins and when it is
 * done, and prints as JSON how long each message took from the moment it was due, and whether all came.
 */

import { Audience } from "../bench/driver/audience.ts";
import { Histogram, type LatencySummary } from "../bench/driver/histogram.ts";
import { sleepMicroseconds } from "../bench/driver/libc.ts";

export interface ProbeJob {
  readonly port: number;
  readonly pid: number;
  readonly seconds: number;
  readonly messagesPerSecond: number;
}

export interface ProbeResult {
  readonly published: number;
  readonly lost: number;
  readonly latency: LatencySummary;
}

/** In which a flood can begin. */
const warmSeconds = 2;
/** How long what is on its way may take. */
const patienceMs = 5_000;

function probe(job: ProbeJob): ProbeResult {
  const audience = new Audience({
    ...job,
    dialect: "tidings",
    subscribers: 1,
    payloadBytes: 64,
    warmSeconds,
    recordLatency: true,
  });
  console.log("ready");
  const intervalMs = 1000 / job.messagesPerSecond;
  let dueAt = performance.now();
  const runFor = (seconds: number) => {
    const end = performance.now() + seconds * 1000;
    while (dueAt < end) {
      for (; performance.now() >= dueAt; dueAt += intervalMs) audience.publish(1, dueAt);
      // Waits for what it published, then sleeps: looking all the time would take a core from the others.
      if (audience.inFlight > 0) audience.read(1);
      else sleepMicroseconds(Math.max(0, dueAt - performance.now()) * 1000 | 0);
    }
  };
  runFor(warmSeconds);
  const latency = audience.latency = new Histogram();
  runFor(job.seconds);
  // What has not come by now is late; whether it is lost shows when nothing holds it up any more.
  console.log("measured");
  const patientUntil = performance.now() + patienceMs;
  while (audience.outstanding > 0 && performance.now() < patientUntil) audience.read(50);
  return {
    published: audience.published,
    lost: audience.outstanding,
    latency: latency.summary(),
  };
}

if (import.meta.main) console.log(JSON.stringify(probe(JSON.parse(Deno.args[0]!))));
