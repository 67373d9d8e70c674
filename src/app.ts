/** The HTTP side: a Hono app that is a function of the broker and the sockets, and needs no port to be tested. */

import { zValidator } from "@hono/zod-validator";
import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import type { Broker } from "./broker.ts";
import { type ErrorBody, RequestError, topicNotFound } from "./errors.ts";
import { describeThrown, type Log } from "./log.ts";
import { describeField, TopicName } from "./protocol.ts";
import { checkHandshake, type Sockets } from "./websocket.ts";

export interface AppParts {
  readonly broker: Broker;
  readonly sockets: Sockets;
  readonly log: Log;
  /** The longest request body that is read, in bytes. */
  readonly maxMessageBytes: number;
  readonly isDraining: () => boolean;
  readonly uptimeSeconds: () => number;
}

export function createApp(parts: AppParts): Hono {
  const { broker, sockets, log, maxMessageBytes, isDraining, uptimeSeconds } = parts;
  const app = new Hono();

  app.use(checkHost);
  app.use(limitBody(maxMessageBytes));

  app.get("/", (context) => context.text(welcome(new URL(context.req.url).host)));

  app.get("/ws", (context) => {
    checkHandshake(context.req.raw);
    if (isDraining()) {
      const message = "Cannot open WebSocket: the server is shutting down";
      throw new RequestError({ code: "SHUTTING_DOWN", message }, 503, { "retry-after": "1" });
    }
    return sockets.upgrade(context.req.raw);
  });

  app.get("/topics", async (context) => {
    const topics = await broker.listTopics();
    return context.json({ topics: topics.map(({ name, subscribers }) => ({ name, subscribers })) });
  });

  app.post("/topics", requireJson, validate("json", NewTopic, "create topic"), async (context) => {
    const { name } = context.req.valid("json");
    if (!await broker.createTopic(name)) {
      const message = `Cannot create topic "${name}": it exists`;
      throw new RequestError({ code: "TOPIC_EXISTS", message });
    }
    return context.json({ status: "created", topic: name }, 201);
  });

  app.delete("/topics/:name", validate("param", NamedTopic, "delete topic"), async (context) => {
    const { name } = context.req.valid("param");
    if (!await broker.deleteTopic(name)) throw new RequestError(topicNotFound("delete", name));
    return context.json({ status: "deleted", topic: name });
  });

  app.get("/health", async (context) => {
    const counts = {
      uptime_sec: uptimeSeconds(),
      topics: await broker.countTopics(),
      subscribers: broker.countSubscribers(),
    };
    return isDraining()
      ? context.json({ status: "draining", ...counts }, 503)
      : context.json({ status: "ok", ...counts });
  });

  app.get("/stats", async (context) => {
    const topics = await broker.listTopics();
    return context.json({
      topics: Object.fromEntries(topics.map(({ name, ...status }) => [name, status])),
      uptime_sec: uptimeSeconds(),
      connections: sockets.size,
    });
  });

  refuseOtherMethods(app);

  app.notFound((context) => {
    const message = `Cannot find ${JSON.stringify(context.req.path)}: GET / lists what is here`;
    return answerError(context, new RequestError({ code: "BAD_REQUEST", message }, 404));
  });

  app.onError((thrown, context) => {
    if (thrown instanceof RequestError) return answerError(context, thrown);
    if (thrown instanceof HTTPException) {
      const message = "Cannot read body: it is not valid JSON";
      return answerError(context, new RequestError({ code: "BAD_REQUEST", message }));
    }
    log.error("request failed", { path: context.req.path, ...describeThrown(thrown) });
    const message = "Cannot answer: the server has a fault; whether it was done is not known";
    return answerError(context, new RequestError({ code: "INTERNAL", message }));
  });

  return app;
}

const NewTopic = z.object({ name: TopicName }, "must be a JSON object");
const NamedTopic = z.object({ name: TopicName });

/** A validator whose failure is the contract's error, naming the field. */
function validate<Target extends "json" | "param", Schema extends z.ZodType>(
  target: Target,
  schema: Schema,
  action: string,
) {
  return zValidator(target, schema, (result) => {
    if (result.success) return;
    const message = `Cannot ${action}: ${describeField(result.error)}`;
    throw new RequestError({ code: "BAD_REQUEST", message });
  });
}

/** `Request.url` is built from the Host header, so an odd one would choose the route (RFC 9112, section 3.2). */
const checkHost = createMiddleware(async (context, next) => {
  const host = context.req.header("host") ?? "";
  const looksRight = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::\d{1,5})?$/i.test(host);
  // 999.999.999.999 and x:99999 look right, and make every `new URL(request.url)` throw.
  if (!looksRight || !URL.canParse(`http://${host}`)) {
    const message = 'Cannot answer: the header "Host" must be a host name with an optional port';
    throw new RequestError({ code: "BAD_REQUEST", message });
  }
  await next();
});

/**
 * Refuses a body that is too long. Hono's own middleware leaves a body of unknown length open when it has read too much
 * of it, and each would stay with the server.
 */
function limitBody(maxBytes: number) {
  return createMiddleware(async (context, next) => {
    const { body, headers } = context.req.raw;
    const declaredBytes = headers.get("content-length");
    if (Number(declaredBytes) > maxBytes) throw bodyTooLarge(maxBytes);
    if (body && declaredBytes === null) {
      context.req.raw = new Request(context.req.raw, { body: await readBody(body, maxBytes) });
    }
    await next();
  });
}

async function readBody(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<Blob> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      chunks.push(chunk as Uint8Array<ArrayBuffer>);
    }
  } catch {
    throw new RequestError({
      code: "BAD_REQUEST",
      message: "Cannot read body: it ended too early",
    });
  }
  if (bytes > maxBytes) throw bodyTooLarge(maxBytes);
  return new Blob(chunks);
}

function bodyTooLarge(maxBytes: number): RequestError {
  const message = `Cannot read body: it must be at most ${maxBytes} bytes`;
  return new RequestError({ code: "PAYLOAD_TOO_LARGE", message });
}

const requireJson = createMiddleware(async (context, next) => {
  const mediaType = (context.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  // Hono's validator leaves the body of any other type unread, text/x+json too.
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(mediaType)) {
    const message = 'Cannot read body: the header "Content-Type" must be application/json';
    throw new RequestError({ code: "BAD_REQUEST", message }, 415, { accept: "application/json" });
  }
  await next();
});

/** Answers every path that has a route, asked with a method that it has not: 405, and `OPTIONS` with what there is. */
function refuseOtherMethods(app: Hono): void {
  const methodsOf = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    const methods = methodsOf.get(path) ?? new Set(["OPTIONS"]);
    methods.add(method);
    if (method === "GET") methods.add("HEAD");
    methodsOf.set(path, methods);
  }
  for (const [path, methods] of methodsOf) {
    const allow = [...methods].sort().join(", ");
    app.all(path, (context) => {
      if (context.req.method === "OPTIONS") return context.body(null, 204, { allow });
      const message = `Cannot ${context.req.method} ${
        JSON.stringify(context.req.path)
      }: try ${allow}`;
      throw new RequestError({ code: "BAD_REQUEST", message }, 405, { allow });
    });
  }
}

function answerError(context: Context, { body, status, headers }: RequestError): Response {
  const error: ErrorBody = body;
  return context.json({ error }, status as ContentfulStatusCode, { ...headers });
}

function welcome(host: string): string {
  return `tidings: topics over WebSocket and HTTP

Make a topic, and see who listens:
  curl -X POST http://${host}/topics -H "Content-Type: application/json" -d '{"name": "orders"}'
  curl http://${host}/topics
  curl -X DELETE http://${host}/topics/orders

Subscribe and publish (npm install -g wscat):
  wscat -c ws://${host}/ws
  {"type": "subscribe", "topic": "orders", "client_id": "me", "last_n": 5}
  {"type": "publish", "topic": "orders", "message": {"id": "550e8400-e29b-41d4-a716-446655440000", "payload": {"hello": "world"}}}

How it is:
  curl http://${host}/health
  curl http://${host}/stats
`;
}
