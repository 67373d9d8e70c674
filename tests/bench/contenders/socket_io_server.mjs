/** Socket.IO with one room. */

import { createServer } from "node:http";
import { createRequire } from "node:module";

const { Server } = createRequire(import.meta.url)("socket.io");

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => {
  socket.on("subscribe", () => {
    socket.join("bench");
    socket.emit("subscribed");
  });
  socket.on("publish", (event) => io.to("bench").emit("event", event));
});
http.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: http.address().port })));
