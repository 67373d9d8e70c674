/** Feeds HTTP: each input on a connection of its own. */

import type { Random } from "../harness.ts";
import { faultOfResponses } from "./check_responses.ts";
import { exchange } from "./exchange.ts";
import type { Findings } from "./findings.ts";
import { mutatedRequest } from "./mutate_request.ts";

export async function fuzzRequest(port: number, random: Random, findings: Findings): Promise<void> {
  const sent = mutatedRequest(random);
  const { received, hung } = await exchange(port, sent);
  if (hung) return findings.add("hung on a request", sent);
  const fault = faultOfResponses(received, (what) => findings.answered(what));
  if (fault) findings.add(fault, sent);
}
