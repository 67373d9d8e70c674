/** Socket.IO, over WebSocket only: rooms, and a broadcast that encodes once. */

import { type Contender, portInJson } from "../contender.ts";

const version = "4.8.4";

export const socketIo: Contender = {
  name: "socket.io",
  title: `Socket.IO ${version}`,
  dialect: "socket.io",
  async prepare(tools) {
    await tools.run("node", ["--version"]);
    await tools.installFromNpm(`socket.io@${version}`);
    const script = await tools.placeScript(new URL("socket_io_server.mjs", import.meta.url));
    return { program: "node", args: [script], port: portInJson };
  },
};
