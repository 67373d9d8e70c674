/** This project: once with a frame for each message, once with the subprotocol that merges them. */

import project from "../../../deno.json" with { type: "json" };
import { type Contender, type Launch, portInJson } from "../contender.ts";
import { benchTopic } from "../wire.ts";

const main = new URL("../../../src/main.ts", import.meta.url).pathname;

/** How the server of this tree is started. */
export function launchTidings(): Launch {
  // As many topics and connections as are asked for.
  const limits = ["--max-topics", "10000000", "--max-connections", "1000000"];
  const settings = ["--host", "127.0.0.1", "--port", "0", "--topics", benchTopic, ...limits];
  return {
    program: Deno.execPath(),
    args: ["run", ...project.tasks.start.command.split(" ").slice(2, -1), main, ...settings],
    port: portInJson,
  };
}

export const tidings: Contender = {
  name: "tidings",
  title: "tidings",
  dialect: "tidings",
  prepare: launchTidings,
};

export const tidingsBatch: Contender = {
  name: "tidings-batch",
  title: "tidings, coalesced",
  dialect: "tidings-batch",
  prepare: launchTidings,
};
