/** The driver: does one job, given as JSON, against a server that runs, and prints the outcome as JSON. */

import { ackedPublish } from "./acked_publish.ts";
import { NotOffered } from "./connections.ts";
import { fanOut, fixedRate } from "./fan_out.ts";
import { connect, makeTopics } from "./growth.ts";
import { NoSuchRoute } from "./http.ts";
import { httpPublish } from "./http_publish.ts";
import type { DriverJob, Outcome, ResultOf } from "./jobs.ts";

function run(job: DriverJob): ResultOf[DriverJob["kind"]] {
  switch (job.kind) {
    case "fan-out":
      return fanOut(job);
    case "fixed-rate":
      return fixedRate(job);
    case "acked-publish":
      return ackedPublish(job);
    case "http-publish":
      return httpPublish(job);
    case "connect":
      return connect(job);
    case "make-topics":
      return makeTopics(job);
    default:
      return job satisfies never;
  }
}

function outcome(job: DriverJob): Outcome<unknown> {
  try {
    return { result: run(job) };
  } catch (thrown) {
    if (thrown instanceof NotOffered) return { skipped: "not offered by the server" };
    if (thrown instanceof NoSuchRoute) return { skipped: "the server has no such route" };
    return { failed: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

console.log(JSON.stringify(outcome(JSON.parse(Deno.args[0]!))));
