/** Publishes over HTTP, one message a request. */

import type { CountResult } from "./acked_publish.ts";
import { HttpClients, postRequest } from "./http.ts";
import type { HttpPublishJob } from "./jobs.ts";
import { payloadOf } from "./sender.ts";
import { measureUsage } from "./usage_meter.ts";

export function httpPublish(job: HttpPublishJob): CountResult {
  const payload = payloadOf(job.payloadBytes);
  const requests = Array.from(
    { length: 256 },
    () => postRequest(job.path, `{"id":"${crypto.randomUUID()}","payload":${payload}}`),
  );
  let next = 0;
  const clients = new HttpClients(
    job.port,
    job.connections,
    () => requests[next++ % requests.length],
  );
  const warmEnd = performance.now() + job.warmSeconds * 1000;
  clients.runUntil(() => performance.now() >= warmEnd);
  const before = clients.answered;
  const end = performance.now() + job.seconds * 1000;
  const usage = measureUsage(job.pid);
  clients.runUntil(() => performance.now() >= end);
  return { ...usage(), count: clients.answered - before };
}
