/** What can go wrong, as clients see it: one closed table of codes. */

/** What one error code means to a client. */
export interface CodeMeaning {
  /** HTTP status of an answer with this code. */
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 429 | 500 | 503;
  /** Whether the same request can succeed later, unchanged. */
  readonly retry: boolean;
  readonly meaning: string;
}

const table = {
  BAD_REQUEST: {
    status: 400,
    retry: false,
    meaning: "The request cannot be understood; the text names the field and what would be right.",
  },
  TOPIC_NOT_FOUND: {
    status: 404,
    retry: false,
    meaning: "No topic has this name: create it first.",
  },
  TOPIC_EXISTS: { status: 409, retry: false, meaning: "A topic with this name is already there." },
  SLOW_CONSUMER: {
    status: 429,
    retry: false,
    meaning: "The subscriber read too slowly and lost the messages that the error counts.",
  },
  LIMIT_EXCEEDED: {
    status: 429,
    retry: false,
    meaning: "A limit of this server is reached; the text names the setting.",
  },
  PAYLOAD_TOO_LARGE: { status: 413, retry: false, meaning: "The message is larger than allowed." },
  RATE_LIMITED: { status: 429, retry: true, meaning: "Too many requests: wait, then try again." },
  UNAUTHORIZED: { status: 401, retry: false, meaning: "A valid token is needed." },
  FORBIDDEN: { status: 403, retry: false, meaning: "The token does not allow this." },
  UNAVAILABLE: { status: 503, retry: true, meaning: "It cannot be done now; nothing was changed." },
  SHUTTING_DOWN: { status: 503, retry: true, meaning: "The server is going away: connect again." },
  INTERNAL: { status: 500, retry: true, meaning: "A fault of the server; it is in its log." },
} as const satisfies Record<string, CodeMeaning>;

/** The name of an error code, as it stands in `error.code`. */
export type ErrorCode = keyof typeof table;

/** Every error code with its HTTP status, whether a retry can help, and one sentence of meaning. */
export const errorCodes: Readonly<Record<ErrorCode, CodeMeaning>> = table;

/** The `error` object of an answer, over WebSocket and HTTP alike. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  /** How long to wait before the same request may succeed, in milliseconds. */
  readonly retry_after_ms?: number;
  /** How many messages a slow subscriber lost. */
  readonly dropped?: number;
  /** Offset of the first message lost. */
  readonly from_offset?: number;
  /** Offset of the last message lost. */
  readonly to_offset?: number;
}

/** How one kind of connection end looks to the client. */
interface ClosingMeaning {
  /** WebSocket close code. From 4000 to 4499 a client does well to come back, from 4500 on to stay away. */
  readonly code: number;
  readonly reason: ErrorCode | "";
  readonly meaning: string;
}

/** The ways in which a connection ends. */
export const closings = {
  normal: { code: 1000, reason: "", meaning: "The client closed it." },
  shuttingDown: {
    code: 1001,
    reason: "SHUTTING_DOWN",
    meaning: "The server is going away: connect again.",
  },
  binaryFrame: {
    code: 1003,
    reason: "BAD_REQUEST",
    meaning: "A binary frame came; only text is read.",
  },
  messageTooLarge: {
    code: 1009,
    reason: "PAYLOAD_TOO_LARGE",
    meaning: "A frame was longer than `MAX_MESSAGE_BYTES`.",
  },
  bug: { code: 1011, reason: "INTERNAL", meaning: "A fault of the server; it is in its log." },
  tooSlow: {
    code: 4008,
    reason: "SLOW_CONSUMER",
    meaning: "The client reads too slowly or not at all: connect again.",
  },
  inboxFull: {
    code: 4008,
    reason: "LIMIT_EXCEEDED",
    meaning: "More requests came than `MAX_CONTROL_BACKLOG_BYTES` while one was being worked on.",
  },
  tokenExpired: {
    code: 4010,
    reason: "UNAUTHORIZED",
    meaning: "The token has expired: connect again with a new one.",
  },
  tooManyRequests: {
    code: 4029,
    reason: "RATE_LIMITED",
    meaning: "The client went on sending after it was told to wait: connect again, and wait then.",
  },
  unauthorized: {
    code: 4501,
    reason: "UNAUTHORIZED",
    meaning: "No valid token came within 10 seconds, or the first one was not valid.",
  },
} as const satisfies Record<string, ClosingMeaning>;

/** One way in which the server ends a connection. */
export type Closing = (typeof closings)[keyof typeof closings];

/** `Cannot publish to "orders": topic does not exist`, in one wording for every road. */
export function topicNotFound(verb: string, topic: string): ErrorBody {
  return { code: "TOPIC_NOT_FOUND", message: `Cannot ${verb} "${topic}": topic does not exist` };
}

/** `Cannot publish: the server is shutting down`. */
export function shuttingDown(verb: string): ErrorBody {
  return { code: "SHUTTING_DOWN", message: `Cannot ${verb}: the server is shutting down` };
}

/** An idempotent message has the id of another one. */
export const idReused: ErrorBody = {
  code: "BAD_REQUEST",
  message: 'Cannot publish: "id" was used for another payload; give this message an id of its own',
};

/** Ends the handling of an HTTP request with an error that the client is told. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly body: ErrorBody;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  /** `status` is for what HTTP tells apart and the code does not: 404, 405, 415, 426. */
  constructor(
    body: ErrorBody,
    status: number = errorCodes[body.code].status,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(body.message);
    this.body = body;
    this.status = status;
    this.headers = headers;
  }
}
