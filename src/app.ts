/** The HTTP side: a Hono app that is a function of the broker and the sockets, and needs no port to be tested. */

import { zValidator } from "@hono/zod-validator";
import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import type { Access } from "./access.ts";
import type { ClientAddresses, RequestOrigin } from "./address.ts";
import type { Admission } from "./admission.ts";
import { createAccessRoutes } from "./auth_routes.ts";
import type { Broker, TopicStatus } from "./broker.ts";
import { type ErrorBody, RequestError, shuttingDown, topicNotFound } from "./errors.ts";
import { checkHandshake } from "./handshake.ts";
import { makeTargetCheck, refuseInvalid, requireJson } from "./http.ts";
import type { Limits } from "./limits.ts";
import { describeThrown, type Log } from "./log.ts";
import { createMessageRoutes } from "./messages.ts";
import type { Origins } from "./origins.ts";
import { TopicName } from "./protocol.ts";
import { SessionAccess } from "./session_access.ts";
import type { SocketClient, Sockets } from "./websocket.ts";

/** What the routes answer from. */
export interface AppParts {
  readonly broker: Broker;
  readonly sockets: Sockets;
  readonly log: Log;
  /** Who may do what; everybody everything when not given. */
  readonly access: Access | undefined;
  readonly origins: Origins;
  readonly limits: Limits;
  readonly admission: Admission;
  readonly addresses: ClientAddresses;
  /** How deep a payload may nest. */
  readonly maxJsonDepth: number;
  /** The longest request body that is read, in bytes. */
  readonly maxMessageBytes: number;
  readonly isDraining: () => boolean;
  readonly uptimeSeconds: () => number;
}

/** Answers requests, whatever is in them. */
export interface App {
  fetch(request: Request, origin: RequestOrigin): Response | Promise<Response>;
}

/** All routes of the server. `GET /ws` alone needs a real connection under it. */
export function createApp(parts: AppParts): App {
  const { broker, sockets, log, access, origins, limits, admission } = parts;
  const { maxMessageBytes, maxJsonDepth, isDraining, uptimeSeconds } = parts;
  const app = new Hono<Environment>();

  if (access) app.route("/", createAccessRoutes(access, { maxMessageBytes }));

  app.get("/", (context) => context.text(welcome(new URL(context.req.url).host)));

  app.get("/ws", (context): Response | Promise<Response> => {
    const request = context.req.raw;
    checkHandshake(request);
    const address = parts.addresses.of(context.env, request.headers);
    if (!access) return open(request, { address });
    return access.admit(request).then((identity) =>
      open(request, { address, access: new SessionAccess(access, identity) })
    );
  });

  function open(request: Request, client: SocketClient): Response {
    if (!isDraining()) return sockets.upgrade(request, client);
    throw new RequestError(shuttingDown("open WebSocket"), 503, { "retry-after": "1" });
  }

  app.get("/topics", async (context) => {
    const topics = await broker.listTopics();
    return context.json({ topics: topics.map(({ name, subscribers }) => ({ name, subscribers })) });
  });

  app.post(
    "/topics",
    requireJson(maxMessageBytes),
    zValidator("json", NewTopic, refuseInvalid("create topic")),
    async (context) => {
      const { name } = context.req.valid("json");
      const creation = await broker.createTopic(name);
      if (creation === "too_many") {
        throw new RequestError(limits.exceeded("MAX_TOPICS", `create topic "${name}"`));
      }
      if (creation === "exists") {
        const message = `Cannot create topic "${name}": it exists`;
        throw new RequestError({ code: "TOPIC_EXISTS", message });
      }
      return context.json({ status: "created", topic: name }, 201);
    },
  );

  app.delete(
    "/topics/:name",
    zValidator("param", NamedTopic, refuseInvalid("delete topic")),
    async (context) => {
      const { name } = context.req.valid("param");
      if (!await broker.deleteTopic(name)) throw new RequestError(topicNotFound("delete", name));
      return context.json({ status: "deleted", topic: name });
    },
  );

  app.route(
    "/",
    createMessageRoutes(broker, { isDraining, limits, access, maxMessageBytes, maxJsonDepth }),
  );

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
    const total = (amount: (topic: TopicStatus) => number) =>
      topics.reduce((sum, topic) => sum + amount(topic), 0);
    return context.json({
      topics: Object.fromEntries(topics.map(({ name, ...status }) => [name, status])),
      total: {
        topics: topics.length,
        messages: total(({ messages }) => messages),
        subscribers: total(({ subscribers }) => subscribers),
        history: {
          messages: total(({ history }) => history.messages),
          bytes: total(({ history }) => history.bytes),
        },
        dropped: total(({ dropped }) => dropped),
        lagging: total(({ lagging }) => lagging),
        evicted: total(({ evicted }) => evicted),
      },
      connections: sockets.size,
      places: admission.taken,
      evicted: admission.evicted,
      lost: admission.lost,
      addresses: admission.addresses,
      limits: limits.values,
      refused: limits.refused,
      uptime_sec: uptimeSeconds(),
    });
  });

  app.notFound((context) => {
    const { method, path } = context.req;
    const allow = methodsAt(app, path).join(", ");
    if (allow === "") {
      const message = `Cannot find ${JSON.stringify(path)}: GET / lists what is here`;
      return answerError(context, new RequestError({ code: "BAD_REQUEST", message }, 404));
    }
    if (method === "OPTIONS") return context.body(null, 204, { allow });
    const message = `Cannot ${method} ${JSON.stringify(path)}: try ${allow}`;
    return answerError(context, new RequestError({ code: "BAD_REQUEST", message }, 405, { allow }));
  });

  app.onError((thrown, context) => {
    if (thrown instanceof RequestError) {
      if (thrown.body.code === "PAYLOAD_TOO_LARGE") limits.count("MAX_MESSAGE_BYTES");
      return answerError(context, thrown);
    }
    if (thrown instanceof HTTPException) {
      const message = "Cannot read body: it is not valid JSON";
      return answerError(context, new RequestError({ code: "BAD_REQUEST", message }));
    }
    log.error("request failed", { path: context.req.path, ...describeThrown(thrown) });
    const message = "Cannot answer: the server has a fault; whether it was done is not known";
    return answerError(context, new RequestError({ code: "INTERNAL", message }));
  });

  const answerIfOdd = makeTargetCheck();
  return {
    fetch: (request, sender) => {
      const odd = answerIfOdd(request);
      if (odd) return odd;
      const origin = request.headers.get("origin");
      if (origin === null) return app.fetch(request, sender);
      return origins.answer(request, origin, () => app.fetch(request, sender));
    },
  };
}

/** What a route knows besides the request. */
interface Environment {
  readonly Bindings: RequestOrigin;
}

const NewTopic = z.object({ name: TopicName }, "must be a JSON object");
const NamedTopic = z.object({ name: TopicName });

/** The methods for which a path has a route. A fallback route for the others would slow down every request. */
function methodsAt(app: Hono<Environment>, path: string): string[] {
  const methods = ["DELETE", "GET", "POST"].filter((method) =>
    app.router.match(method, path)[0].length > 0
  );
  if (methods.length === 0) return [];
  return [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].sort();
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
