/**
 * The ceiling: what this runtime can do with a WebSocket per subscriber when nothing is checked, kept or queued.
 * `--turn` joins the messages of one turn of the loop into one frame, a JSON array, that all subscribers share.
 * `--ack` passes nothing on, and answers each frame with the bytes of tidings' ack.
 */

import { marker } from "../driver/marker.ts";

const subscribers = new Set<WebSocket>();
const mergesTurns = Deno.args.includes("--turn");
const acksOnly = Deno.args.includes("--ack");
const ack =
  `{"type":"ack","request_id":"${marker}100","topic":"bench","status":"ok","ts":"2026-01-01T00:00:00.000Z","epoch":"01234567-89ab-4cde-8f01-23456789abcd","offset":100000}`;
let turn: string[] = [];

function send(text: string): void {
  for (const subscriber of subscribers) subscriber.send(text);
}

function sendTurn(): void {
  send(`[${turn.join(",")}]`);
  turn = [];
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(JSON.stringify({ port })),
}, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.onmessage = ({ data }) => {
    if (acksOnly) {
      socket.send(ack);
    } else if (data === "subscribe") {
      subscribers.add(socket);
      socket.send("subscribed");
    } else if (!mergesTurns) {
      send(data);
    } else if (turn.push(data) === 1) {
      setImmediate(sendTurn);
    }
  };
  socket.onclose = () => subscribers.delete(socket);
  return response;
});
