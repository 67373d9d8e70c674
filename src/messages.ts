/** Messages over HTTP: publishing to a topic, and reading its history. */

import { zValidator } from "@hono/zod-validator";
import { Hono } from "hono";
import { z } from "zod";
import type { Access } from "./access.ts";
import type { Broker } from "./broker.ts";
import { type Awaitable, type Message, whenReady } from "./engine.ts";
import { type ErrorBody, idReused, RequestError, shuttingDown, topicNotFound } from "./errors.ts";
import { bodyCutOff, checkJsonBody, invalid, refuseInvalid } from "./http.ts";
import { requireAllowed } from "./identity.ts";
import { elementTexts } from "./json_text.ts";
import type { Limits } from "./limits.ts";
import { whyNotRecovered } from "./feed.ts";
import { decodePosted, encodeKept, TopicName } from "./protocol.ts";

/** A page of history ends after this many bytes, so that no answer holds the server up. */
const maxPageBytes = 1_048_576;

const jsonHeaders = { "content-type": "application/json" };

/** What became of one message of a publish. */
type Outcome = PlacedMessage | { readonly error: ErrorBody };

interface PlacedMessage {
  readonly id: string;
  readonly epoch: string;
  readonly offset: number;
  readonly subscribers: number;
  readonly duplicate?: boolean;
}

const NamedTopic = z.object({ name: TopicName });

const expected = "must be a whole number, 0 or more";
const queriedNumber = z.string(expected).regex(/^\d{1,15}$/, expected).transform(Number);

const Page = z.object({
  after: queriedNumber.optional(),
  epoch: z.string("must be one text").optional(),
  limit: queriedNumber
    .pipe(z.number().min(1, "must be 1 to 1000").max(1000, "must be 1 to 1000"))
    .default(100),
});

/** What the routes go by. */
export interface MessageRoutesOptions {
  /** The longest request body that is read, in bytes. */
  readonly maxMessageBytes: number;
  /** How deep a payload may nest. */
  readonly maxJsonDepth: number;
  readonly limits: Limits;
  readonly isDraining: () => boolean;
  /** Who may do what; everybody everything when not given. */
  readonly access: Access | undefined;
}

/** Routes below `/topics/:name/messages`. */
export function createMessageRoutes(broker: Broker, options: MessageRoutesOptions): Hono {
  const { access, limits, maxJsonDepth } = options;
  const routes = new Hono();

  // Without middleware: each layer of it costs as much as placing the message.
  routes.post("/topics/:name/messages", async (context) => {
    const identity = access && await access.identify(context.req.raw, "publish");
    const checking = checkJsonBody(context, options.maxMessageBytes);
    if (checking) await checking;
    const text = await context.req.text().catch(refuseCutOff);
    const name = TopicName.safeParse(context.req.param("name"));
    if (!name.success) throw invalid("publish", `"name" ${name.error.issues[0]!.message}`);
    if (options.isDraining()) throw new RequestError(shuttingDown("publish"));
    const topic = name.data;
    if (identity) requireAllowed(identity, "publish", { verb: "publish to", topic });
    const body = parseBody(text);
    if (!Array.isArray(body)) {
      const publishing = publishOne(topic, body, text);
      const outcome = publishing instanceof Promise ? await publishing : publishing;
      if ("error" in outcome) throw new RequestError(outcome.error);
      return context.body(encodeOutcome(topic, outcome), 200, jsonHeaders);
    }
    const results: Outcome[] = [];
    for (const [index, item] of elementTexts(text).entries()) {
      results.push(await publishOne(topic, body[index], item));
    }
    return context.json({ topic, results });
  });

  routes.get(
    "/topics/:name/messages",
    zValidator("param", NamedTopic, refuseInvalid("read history")),
    zValidator("query", Page, refuseInvalid("read history")),
    async (context) => {
      const { name } = context.req.valid("param");
      const { after, epoch, limit } = context.req.valid("query");
      const verb = "read history of";
      const identity = access && await access.identify(context.req.raw, "read history");
      if (identity) requireAllowed(identity, "history", { verb, topic: name });
      const history = await broker.read(name, { after: after ?? 0, limit });
      if (!history) throw new RequestError(topicNotFound(verb, name));
      const since = after === undefined
        ? undefined
        : { epoch: epoch ?? history.epoch, offset: after };
      const reason = since && whyNotRecovered(since, history);
      const head = {
        topic: name,
        epoch: history.epoch,
        offset: history.offset,
        ...(since && { recovered: reason === undefined }),
        ...(reason && { reason }),
      };
      const messages = reason ? [] : pageOf(history.messages);
      return context.body(
        `${JSON.stringify(head).slice(0, -1)},"messages":[${
          messages.map(({ text }) => encodeKept(name, text)).join(",")
        }]}`,
        200,
        jsonHeaders,
      );
    },
  );

  return routes;

  function publishOne(topic: string, value: unknown, text: string): Awaitable<Outcome> {
    const posted = decodePosted(value, text, maxJsonDepth);
    if ("fault" in posted) {
      if (posted.limit) limits.count(posted.limit);
      return { error: { code: "BAD_REQUEST", message: `Cannot publish: ${posted.fault}` } };
    }
    const { draft, idempotent } = posted;
    return whenReady(broker.publish(topic, draft, { idempotent }), (receipt): Outcome => {
      if (receipt === undefined) return { error: topicNotFound("publish to", topic) };
      if (receipt === "id_reused") return { error: idReused };
      if (receipt === "too_many") {
        return { error: limits.exceeded("MAX_TOPICS", `create topic "${topic}"`) };
      }
      const { epoch, offset, subscribers, duplicate } = receipt;
      return { id: draft.id, epoch, offset, subscribers, ...(duplicate && { duplicate }) };
    });
  }
}

/** A body that breaks off throws what is no fault of this server. */
function refuseCutOff(): never {
  throw bodyCutOff();
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const message = "Cannot read body: it is not valid JSON";
    throw new RequestError({ code: "BAD_REQUEST", message });
  }
}

/** By hand, as most answers are this one: nothing in it needs escaping. */
function encodeOutcome(
  topic: string,
  { id, epoch, offset, subscribers, duplicate }: PlacedMessage,
): string {
  const repeated = duplicate ? ',"duplicate":true' : "";
  return `{"status":"ok","topic":"${topic}","id":"${id}","epoch":"${epoch}","offset":${offset},"subscribers":${subscribers}${repeated}}`;
}

function pageOf(messages: readonly Message[]): readonly Message[] {
  let bytes = 0;
  const end = messages.findIndex((message) => (bytes += message.bytes) > maxPageBytes);
  return end < 0 ? messages : messages.slice(0, Math.max(1, end));
}
