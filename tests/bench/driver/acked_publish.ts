/** Publishes over a few connections, with as many publishes in flight as the window allows, and counts the acks. */

import { dialects } from "../wire.ts";
import { refuseErrors } from "./audience.ts";
import { Connections } from "./connections.ts";
import type { AckedPublishJob } from "./jobs.ts";
import { MarkerCounter } from "./marker.ts";
import { Pacer } from "./pacer.ts";
import { ackedPublishCommands, commandFrames, Sender } from "./sender.ts";
import { measureUsage, type Usage } from "./usage_meter.ts";

const patienceMs = 10_000;

export interface CountResult extends Usage {
  readonly count: number;
}

export function ackedPublish(job: AckedPublishJob): CountResult {
  const { window, commandsPerFrame } = job;
  const dialect = dialects[job.dialect];
  const connections = new Connections(job.port);
  connections.open(job.connections, dialect, dialect.preparePublisher);
  const counter = new MarkerCounter(connections.buffer, connections.size);
  const commands = ackedPublishCommands(job.topics, job.payloadBytes);
  const frames = commandFrames(commands, commandsPerFrame);
  const senders = Array.from(
    { length: connections.size },
    (_, connection) => new Sender(connections, connection, frames),
  );
  const inFlight = new Int32Array(connections.size);
  let acked = 0;
  let published = 0;

  function onRead(connection: number, length: number): void {
    if (acked < window) refuseErrors(connections.text(length));
    const count = counter.count(connection, length);
    inFlight[connection]! -= count;
    acked += count;
  }

  function runUntil(end: number): void {
    const ackedBefore = acked;
    const pacer = new Pacer();
    let movedAt = performance.now();
    for (let now = movedAt; now < end; now = performance.now()) {
      for (const [connection, sender] of senders.entries()) {
        const frames = Math.floor((window - inFlight[connection]!) / commandsPerFrame);
        inFlight[connection]! += frames * commandsPerFrame;
        published += frames * commandsPerFrame;
        sender.publish(frames);
      }
      const isBlocked = senders.some((sender) => sender.isBlocked);
      if (!isBlocked) pacer.nap(acked - ackedBefore, published - acked);
      if (connections.read(isBlocked ? 1 : 50, onRead) > 0) movedAt = now;
      else if (now - movedAt > patienceMs) throw new Error("Gave up waiting for acks");
    }
  }

  runUntil(performance.now() + job.warmSeconds * 1000);
  const before = acked;
  const usage = measureUsage(job.pid);
  runUntil(performance.now() + job.seconds * 1000);
  return { ...usage(), count: acked - before };
}
