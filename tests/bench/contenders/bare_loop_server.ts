/**
 * The ceiling: what this runtime can do with a WebSocket per subscriber when nothing is checked, kept or queued.
 * `--turn` joins the messages of one turn of the loop into one frame, a JSON array, that all subscribers share.
 */

const subscribers = new Set<WebSocket>();
const mergesTurns = Deno.args.includes("--turn");
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
    if (data === "subscribe") {
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
