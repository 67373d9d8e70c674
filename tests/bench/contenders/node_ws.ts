/** Node with the `ws` package: what most hand-written servers are made of. */

import { type Contender, portInJson } from "../contender.ts";

const version = "8.23.0";

export const nodeWs: Contender = {
  name: "ws",
  title: `node + ws ${version}`,
  dialect: "relay",
  async prepare(tools) {
    await tools.run("node", ["--version"]);
    await tools.installFromNpm(`ws@${version}`);
    const script = await tools.placeScript(new URL("node_ws_server.mjs", import.meta.url));
    return { program: "node", args: [script], port: portInJson };
  },
};
