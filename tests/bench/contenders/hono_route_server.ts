/** One Hono route that parses its body as JSON, and does nothing with it. */

import { Hono } from "hono";

const app = new Hono();
app.post("/topics/:name/messages", async (context) => {
  const message = await context.req.json();
  return context.json({ topic: context.req.param("name"), id: message.id });
});

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(JSON.stringify({ port })),
}, (request) => app.fetch(request));
