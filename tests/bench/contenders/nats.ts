/** nats-server over WebSocket. Its frames carry subject and payload alone: no id, no time. */

import type { Contender } from "../contender.ts";

const config = `
host: 127.0.0.1
port: -1
websocket { host: 127.0.0.1, port: -1, no_tls: true }
`;

export const nats: Contender = {
  name: "nats",
  title: "nats-server",
  dialect: "nats",
  async prepare(tools) {
    await tools.run("nats-server", ["--version"]);
    const file = `${await tools.folder()}/nats.conf`;
    await Deno.writeTextFile(file, config);
    return {
      program: "nats-server",
      args: ["--config", file],
      port: /websocket clients on ws:\/\/127\.0\.0\.1:(\d+)/,
    };
  },
};
