/** The runtime's own WebSocket with nothing around it: what tidings could reach at best. */

import { type Contender, type Launch, portInJson } from "../contender.ts";

const script = new URL("bare_loop_server.ts", import.meta.url).pathname;

function launch(...flags: string[]): Launch {
  return {
    program: Deno.execPath(),
    args: ["run", "--no-prompt", "--allow-net", script, ...flags],
    port: portInJson,
  };
}

export const bareLoop: Contender = {
  name: "bare",
  title: "bare Deno loop",
  dialect: "relay",
  prepare: () => launch(),
};

export const bareLoopTurn: Contender = {
  name: "bare-turn",
  title: "bare Deno loop, a frame a turn",
  dialect: "relay",
  prepare: () => launch("--turn"),
};

/** Acks without reading what it acks. */
export const bareAck: Contender = {
  name: "bare-ack",
  title: "bare Deno loop, acks alone",
  dialect: "tidings",
  prepare: () => launch("--ack"),
};
