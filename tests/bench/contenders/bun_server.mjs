/** Bun's native publish with nothing around it. */

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    message(socket, data) {
      if (data === "subscribe") {
        socket.subscribe("bench");
        socket.send("subscribed");
      } else {
        server.publish("bench", data);
      }
    },
  },
});
console.log(JSON.stringify({ port: server.port }));
