/** A Hono route that parses the body of a publish and answers: what HTTP publish could reach at best. */

import { type Contender, portInJson } from "../contender.ts";

const script = new URL("hono_route_server.ts", import.meta.url).pathname;

export const honoRoute: Contender = {
  name: "hono",
  title: "bare Hono route",
  dialect: "relay",
  prepare: () => ({
    program: Deno.execPath(),
    args: ["run", "--no-prompt", "--allow-net", script],
    port: portInJson,
  }),
};
