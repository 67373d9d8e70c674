/** Node and `ws` with nothing around them. */

import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(import.meta.url)("ws");

const subscribers = new Set();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("listening", () => console.log(JSON.stringify({ port: server.address().port })));
server.on("connection", (socket) => {
  socket.on("message", (data) => {
    if (data.length === "subscribe".length) {
      subscribers.add(socket);
      socket.send("subscribed");
    } else {
      for (const subscriber of subscribers) subscriber.send(data, { binary: false });
    }
  });
  socket.on("close", () => subscribers.delete(socket));
  socket.on("error", () => socket.terminate());
});
