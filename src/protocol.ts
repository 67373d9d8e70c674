/** The wire contract: what clients may send, what they are sent, and how both are read and written. */

import { z } from "zod";
import type { ErrorBody } from "./errors.ts";
import type { Limit } from "./limits.ts";
import { depthOf, elementTexts, type JsonText, textOf } from "./json_text.ts";

/**
 * A topic's name: 1 to 255 ASCII letters, digits and `. _ - : /`, where no segment between slashes is empty, `.` or `..`.
 */
export const TopicName = z
  .string("must be a string")
  .regex(
    /^(?!(?:.*\/)?\.{0,2}(?:\/|$))[A-Za-z0-9._:/-]{1,255}$/,
    "must be 1 to 255 letters, digits and . _ - : / without an empty, . or .. segment between slashes",
  );

const ClientId = z
  .string("must be a string")
  .min(1, "must not be empty")
  .max(255, "must be at most 255 characters");

const RequestId = z.string("must be a string").optional();

const Payload = z.custom((payload) => payload !== undefined, "must be present; null will do");

const Idempotent = z.boolean("must be true or false").optional();

const MessageId = z.guid("must be a UUID such as 123e4567-e89b-42d3-a456-426614174000");

const wholeNumber = z
  .number("must be a whole number, 0 or more")
  .refine((n) => Number.isInteger(n) && n >= 0, "must be a whole number, 0 or more");

const overflows = ["drop_oldest", "catch_up", "latest", "disconnect"] as const;

/** What becomes of messages for which a subscriber's connection has no room. */
export const Overflow = z.enum(overflows, `must be ${overflows.join(", ")}`);
export type Overflow = z.infer<typeof Overflow>;

const Subscribe = z.object({
  type: z.literal("subscribe"),
  topic: TopicName,
  client_id: ClientId,
  last_n: wholeNumber.optional(),
  since: z
    .object(
      {
        epoch: z.string("must be a string"),
        offset: wholeNumber,
      },
      "must be an object with epoch and offset",
    )
    .optional(),
  overflow: Overflow.optional(),
  echo: z.boolean("must be true or false").optional(),
  request_id: RequestId,
});

const Unsubscribe = z.object({
  type: z.literal("unsubscribe"),
  topic: TopicName,
  client_id: ClientId,
  request_id: RequestId,
});

const Publish = z.object({
  type: z.literal("publish"),
  topic: TopicName,
  message: z.object(
    {
      id: MessageId,
      payload: Payload,
    },
    "must be an object with id and payload",
  ),
  idempotent: Idempotent,
  request_id: RequestId,
});

const Ping = z.object({ type: z.literal("ping"), request_id: RequestId });

const Auth = z.object({
  type: z.literal("auth"),
  token: z.string("must be a string"),
  request_id: RequestId,
});

const Request = z.discriminatedUnion("type", [Subscribe, Unsubscribe, Publish, Ping, Auth], {
  error: (issue) =>
    issue.code === "invalid_union"
      ? 'must be "subscribe", "unsubscribe", "publish", "ping" or "auth"'
      : undefined,
});

/** A message in the body of an HTTP publish; an id is made when there is none. */
const PostedMessage = z.object(
  { id: MessageId.optional(), payload: Payload, idempotent: Idempotent },
  "must be an object with payload, and id if it has one",
);

/** A message that a client wants published. */
export interface Draft {
  /** A UUID in the 8-4-4-4-12 form, in the letter case it came in. */
  readonly id: string;
  /** The payload, character for character as it was sent. */
  readonly payload: JsonText;
}

/** Asks for the messages of a topic, `last_n` older ones first. */
export type Subscribe = z.infer<typeof Subscribe>;
/** Ends a subscription of this connection. */
export type Unsubscribe = z.infer<typeof Unsubscribe>;
/** Sends a message to all subscribers of a topic. */
export type Publish = Omit<z.infer<typeof Publish>, "message"> & { message: Draft };
/** Asks for a `pong`. */
export type Ping = z.infer<typeof Ping>;
/** Says who the client is, at first or anew. */
export type Auth = z.infer<typeof Auth>;

/** What a client asks for in one frame. */
export type Command = Subscribe | Unsubscribe | Publish | Ping | Auth;

/** A frame that is no command, with as much of it as an answer needs. */
export interface Refusal {
  readonly type: "refusal";
  readonly request_id: string | undefined;
  readonly topic: string | undefined;
  readonly error: ErrorBody;
  /** The limit for which it is refused, if it is for one. */
  readonly limit?: Limit;
}

/** Reads one frame, in which a payload may nest `maxDepth` levels deep. Never throws. */
export function decodeCommand(text: string, maxDepth: number): Command | Refusal {
  try {
    return readCommand(JSON.parse(text), text, maxDepth);
  } catch {
    return refusal({}, "Cannot read frame: it is not valid JSON");
  }
}

/** Reads one frame that may also be an array of commands. Never throws. */
export function decodeCommands(text: string, maxDepth: number): (Command | Refusal)[] {
  if (!/^\s*\[/.test(text)) return [decodeCommand(text, maxDepth)];
  try {
    const values: unknown[] = JSON.parse(text);
    if (values.length === 0) return [refusal({}, "Cannot read frame: the array must not be empty")];
    return elementTexts(text).map((element, index) =>
      readCommand(values[index], element, maxDepth)
    );
  } catch {
    return [refusal({}, "Cannot read frame: it is not valid JSON")];
  }
}

function readCommand(value: unknown, text: string, maxDepth: number): Command | Refusal {
  // Publishes come most, and need not look for their schema among the others.
  const isPublish = (value as { type?: unknown } | null)?.type === "publish";
  const parsed = isPublish ? Publish.safeParse(value) : Request.safeParse(value);
  if (!parsed.success) return refusal(value, describeIssue(value, parsed.error));
  if (parsed.data.type !== "publish") return parsed.data;

  const { type, topic, message, idempotent, request_id } = parsed.data;
  // It is there: the schema has seen it.
  const payload = textOf(text, "message", "payload")!;
  if (isTooDeep(payload, maxDepth)) {
    const what = `Cannot publish: "message.payload" ${tooDeep(maxDepth)}`;
    return { ...refusal(value, what), limit: "MAX_JSON_DEPTH" };
  }
  return { type, topic, message: { id: message.id, payload }, idempotent, request_id };
}

function tooDeep(maxDepth: number): string {
  return `must not nest deeper than ${maxDepth} levels (MAX_JSON_DEPTH)`;
}

/** What receives a payload often has a parser that recurses. */
function isTooDeep(payload: JsonText, maxDepth: number): boolean {
  // A short one cannot nest deep: each level takes two characters.
  return payload.length >= 2 * maxDepth && depthOf(payload) > maxDepth;
}

/** What is wrong with a message of an HTTP publish. */
export interface PostedFault {
  readonly fault: string;
  /** The limit for which it is refused, if it is for one. */
  readonly limit?: Limit;
}

/** Reads one message of an HTTP publish, given parsed and as text; its payload may nest `maxDepth` levels deep. */
export function decodePosted(
  value: unknown,
  text: string,
  maxDepth: number,
): { readonly draft: Draft; readonly idempotent: boolean } | PostedFault {
  const parsed = PostedMessage.safeParse(value);
  if (!parsed.success) return { fault: describeField(parsed.error) };
  const payload = textOf(text, "payload")!;
  if (isTooDeep(payload, maxDepth)) {
    return { fault: `"payload" ${tooDeep(maxDepth)}`, limit: "MAX_JSON_DEPTH" };
  }
  const { id = crypto.randomUUID(), idempotent = false } = parsed.data;
  return { draft: { id, payload }, idempotent };
}

/** The first thing wrong with a value, as `"field" must be …`, or `it must be …` where the whole is wrong. */
export function describeField(error: z.core.$ZodError): string {
  const issue = error.issues[0]!;
  return issue.path.length === 0
    ? `it ${issue.message}`
    : `"${issue.path.join(".")}" ${issue.message}`;
}

function describeIssue(value: unknown, error: z.core.$ZodError): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "Cannot read frame: it must be a JSON object";
  }
  const { type } = value as { type?: unknown };
  const known = error.issues[0]!.path[0] !== "type" && typeof type === "string";
  return `Cannot ${known ? type : "read frame"}: ${describeField(error)}`;
}

function refusal(value: unknown, message: string): Refusal {
  const { request_id, topic } = (value ?? {}) as { request_id?: unknown; topic?: unknown };
  return {
    type: "refusal",
    request_id: typeof request_id === "string" ? request_id : undefined,
    topic: typeof topic === "string" ? topic : undefined,
    error: { code: "BAD_REQUEST", message },
  };
}

/** Where a topic stands: `offset` counts 1, 2, 3 … within an `epoch`. */
export interface Position {
  /** Random text, new whenever the topic's history starts anew. */
  readonly epoch: string;
  /** Offset of the newest message; 0 when there is none. */
  readonly offset: number;
}

/** Every request is answered by exactly one of `ack`, `error` and `pong`. */
export interface Ack extends AckDetails {
  readonly type: "ack";
  readonly request_id?: string | undefined;
  readonly topic: string;
  readonly status: "ok";
  readonly ts: string;
}

/** What an ack tells besides that it was done. */
export interface AckDetails extends Partial<Position> {
  /** Of a subscribe with `since`: whether all that was missed follows. */
  readonly recovered?: boolean;
  /** Why it was not recovered. */
  readonly reason?: "epoch_changed" | "evicted" | "ahead";
  /** Of a publish: to how many subscriptions of this server the message was handed or queued. */
  readonly subscribers?: number;
  /** Of an idempotent publish: the message was there already, at this offset. */
  readonly duplicate?: boolean;
}

/** Answers an `auth`. Where access is off, without saying who the client is: nobody asks. */
export interface AuthAck {
  readonly type: "ack";
  readonly request_id?: string | undefined;
  readonly status: "ok";
  readonly ts: string;
  readonly sub?: string;
  /** When the token ends, as ISO 8601 in UTC. */
  readonly expires_at?: string;
}

/** Says why a request was refused, or what was lost. */
export interface ErrorMessage {
  readonly type: "error";
  readonly request_id?: string | undefined;
  readonly topic?: string | undefined;
  readonly error: ErrorBody;
  readonly ts: string;
}

/** Answers a `ping`. */
export interface Pong {
  readonly type: "pong";
  readonly request_id?: string | undefined;
  readonly ts: string;
}

/** What the server tells without being asked. */
export interface Info {
  readonly type: "info";
  readonly msg: "ping" | "topic_deleted" | "shutdown" | "unsubscribed" | "token_expiring";
  readonly topic?: string;
  /** Whose subscription to `topic` has ended. */
  readonly client_id?: string;
  /** Why it has ended. */
  readonly reason?: "not_granted" | "token_expired";
  /** When the token ends, as ISO 8601 in UTC. */
  readonly expires_at?: string;
  /** How long a client does well to wait before it connects again, in milliseconds. */
  readonly reconnect_after_ms?: number;
  readonly ts: string;
}

/** What the server sends besides events; those go through {@link encodeEvent}. */
export type ServerMessage = Ack | AuthAck | ErrorMessage | Pong | Info;

/** The text frame that carries a message. */
export function encode(message: ServerMessage): string {
  return JSON.stringify(message);
}

/** The ack of a publish, the answer that is sent most: by hand, because only the request id needs escaping. */
export function encodeReceipt(
  { request_id, topic }: Publish,
  { epoch, offset, duplicate }: Position & { readonly duplicate: boolean },
  subscribers: number,
): string {
  const request = request_id === undefined ? "" : `"request_id":${JSON.stringify(request_id)},`;
  const repeated = duplicate ? ',"duplicate":true' : "";
  return `{"type":"ack",${request}"topic":"${topic}","status":"ok","ts":"${timestamp()}","epoch":"${epoch}","offset":${offset},"subscribers":${subscribers}${repeated}}`;
}

/**
 * The frame that carries a message to every subscriber. The topic's name and the id are made of characters that JSON
 * does not escape, and the payload is JSON already.
 */
export function encodeEvent(topic: string, draft: Draft, offset: number, ts: string): string {
  return `{"type":"event","topic":"${topic}","message":{"id":"${draft.id}","payload":${draft.payload}},"offset":${offset},"ts":"${ts}"}`;
}

/** The subprotocol under which a frame may be a JSON array of messages, in both directions. */
export const batchSubprotocol = "tidings.batch.v1";

/** The subprotocol of one JSON object in each frame, for clients that have to offer one. */
export const plainSubprotocol = "tidings.v1";

/** What is offered as a subprotocol and begins with this carries a token, and is never chosen. */
export const tokenSubprotocolPrefix = "tidings.token.";

/** One frame, a JSON array, of several; each of them is a message or an array of messages itself. */
export function mergeFrames(frames: readonly string[]): string {
  return `[${frames.map((frame) => frame.startsWith("[") ? frame.slice(1, -1) : frame).join(",")}]`;
}

/** A message in an answer over HTTP: its event without type and topic, `{"message", "offset", "ts"}`. */
export function encodeKept(topic: string, event: string): string {
  return `{${event.slice(`{"type":"event","topic":"${topic}",`.length)}`;
}

let stampedAt = 0;
let stampedSecond = 0;
let second = "";
let stamp = "";

/** The time now as ISO-8601 in UTC, to the millisecond. */
export function timestamp(): string {
  const now = Date.now();
  if (now === stampedAt) return stamp;
  stampedAt = now;
  const milliseconds = now % 1000;
  if (now - milliseconds !== stampedSecond) {
    stampedSecond = now - milliseconds;
    second = new Date(now).toISOString().slice(0, -4);
  }
  return stamp = `${second}${String(milliseconds).padStart(3, "0")}Z`;
}
