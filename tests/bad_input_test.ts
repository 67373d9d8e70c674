/**
 * Bad and odd input, each with its exact answer. After every case a bystander gets one more message, and after every
 * case over WebSocket that does not end the connection, that connection answers a ping.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Client, makeTopic, publish, type Received, serve, subscribe } from "./harness.ts";
import type { TestServer } from "./harness.ts";
import { RawClient } from "./raw_client.ts";
import { askByHand } from "./raw_http.ts";

const uuid = "a1b2c3d4-e5f6-7890-1234-567890abcdef";
const kib64 = 65_536;
const tooLong = "x".repeat(256);

// ---------------------------------------------------------------------------------------------------------------------
// One frame, one answer.

/** The answer to a frame. `says` is part of the error's text; `replays` are the offsets that follow an ack. */
interface Answer {
  readonly type: "ack" | "pong" | "error";
  readonly code?: string;
  readonly says?: string;
  readonly replays?: readonly number[];
}

type FrameCase = readonly [name: string, frame: unknown, answer: Answer];

const pong: Answer = { type: "pong" };
const acked: Answer = { type: "ack" };
const replays = (...offsets: number[]): Answer => ({ type: "ack", replays: offsets });
const refused = (says: string, code = "BAD_REQUEST"): Answer => ({ type: "error", code, says });

const ping = { type: "ping", request_id: "r" };
const sub = (changes: object) => ({ ...subscribe("history"), request_id: "r", ...changes });
const unsub = (changes: object) => ({ ...sub({}), type: "unsubscribe", ...changes });
const pub = (changes: object) => ({ ...publish("work", 1), request_id: "r", ...changes });
const message = (changes: object) => pub({ message: { id: uuid, payload: 1, ...changes } });
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
const padded = (bytes: number) => JSON.stringify(ping).padEnd(bytes);
/** A ping of so many bytes, most of them in characters of two. */
const paddedWide = (bytes: number) => {
  const bare = '{"type":"ping","x":""}'.length;
  const wide = "é".repeat((bytes - bare) >> 1) + "x".repeat((bytes - bare) & 1);
  return `{"type":"ping","x":"${wide}"}`;
};

const notJson: FrameCase[] = [
  "",
  " ",
  "{",
  "}",
  "hello",
  '{"type":"ping"',
  '{"type":"ping",}',
  "{'type':'ping'}",
  "{type:'ping'}",
  '{"type":"ping"} {"type":"ping"}',
  '{"type":"ping"}\0',
  '{"type":"pi\nng"}',
  '{"type":"\\x70ing"}',
  '\ufeff{"type":"ping"}',
  "NaN",
  "undefined",
  '{"type":"ping","x":01}',
  '{"type":"ping","x":+1}',
  '{"type":"ping"/**/}',
  "[".repeat(10_000),
].map((text) => [`not JSON: ${shown(text)}`, text, refused("not valid JSON")]);

const notAnObject: FrameCase[] = [
  ...["null", "true", "1", '"ping"', "[]", `[${JSON.stringify(ping)}]`, nested(10_000)],
].map((text) => [`no object: ${shown(text)}`, text, refused("must be a JSON object")]);

/** Every value that is of none of the given types. */
function wrong(...right: string[]): unknown[] {
  const values = [null, true, 5, "5", [], {}];
  const typeOf = (value: unknown) => Array.isArray(value) ? "array" : typeof value;
  return values.filter((value) => value === null || !right.includes(typeOf(value)));
}

/** A field with every wrong value; `undefined` is a field that is not there. */
function field(
  name: string,
  values: readonly unknown[],
  make: (value: unknown) => Record<string, unknown>,
): FrameCase[] {
  return values.map((value) => {
    const frame = make(value);
    const command = typeof frame.type === "string" ? frame.type : "frame";
    return [`${command}: ${name} = ${shown(JSON.stringify(value))}`, frame, refused(`"${name}"`)];
  });
}

const wrongTypes: FrameCase[] = [
  ...field(
    "type",
    [...wrong(), undefined, "", "PING", "ping ", "event", "__proto__", "constructor", "toString"],
    (type) => ({ type, request_id: "r", topic: "work" }),
  ),
  ...field("topic", [...wrong("string"), undefined], (topic) => sub({ topic })),
  ...field("client_id", [...wrong("string"), undefined, ""], (client_id) => sub({ client_id })),
  ...field("last_n", [...wrong("number"), -1, 1.5, -0.5], (last_n) => sub({ last_n })),
  ...field("since", [...wrong("object")], (since) => sub({ since })),
  ...field(
    "since.epoch",
    [...wrong("string"), undefined],
    (epoch) => sub({ since: { epoch, offset: 1 } }),
  ),
  ...field(
    "since.offset",
    [...wrong("number"), undefined, -1, 1.5],
    (offset) => sub({ since: { epoch: "e", offset } }),
  ),
  ...field(
    "overflow",
    [...wrong(), "", "LATEST", "__proto__", "constructor"],
    (overflow) => sub({ overflow }),
  ),
  ...field("echo", [...wrong("boolean"), "true"], (echo) => sub({ echo })),
  ...field("request_id", wrong("string"), (request_id) => sub({ request_id })),
  ...field("topic", [...wrong("string"), undefined], (topic) => unsub({ topic })),
  ...field("client_id", [...wrong("string"), undefined, ""], (client_id) => unsub({ client_id })),
  ...field("request_id", wrong("string"), (request_id) => unsub({ request_id })),
  ...field("topic", [...wrong("string"), undefined], (topic) => pub({ topic })),
  ...field("message", [...wrong("object"), undefined], (message) => pub({ message })),
  ...field("message.id", [...wrong("string"), undefined], (id) => message({ id })),
  ...field("idempotent", [...wrong("boolean"), "true"], (idempotent) => pub({ idempotent })),
  ...field("message.payload", [undefined], (payload) => message({ payload })),
  ...field("request_id", wrong("string"), (request_id) => pub({ request_id })),
  ...field("request_id", wrong("string"), (request_id) => ({ type: "ping", request_id })),
];

const badTopics: FrameCase[] = [
  ...["", " ", ".", "..", "/", "a/", "/a", "a//b", "a/./b", "a/../b", "../a", "a/..", " a", "a b"],
  ...["a%2Fb", "%00", "%zz", "a\0b", "a\nb", "a\n", "\x1b[31m", "a\x7f", "é", "\u202ea", "a\u200b"],
  ...["\ufeffa", "\ud800", "\udc00\ud800", "💥", "a\\b", "a?b", "a#b", "a*", "a+b", "a,b", tooLong],
].flatMap((topic): FrameCase[] => [
  [`subscribe: topic ${shown(topic)}`, sub({ topic }), refused('"topic"')],
  [`unsubscribe: topic ${shown(topic)}`, unsub({ topic }), refused('"topic"')],
  [`publish: topic ${shown(topic)}`, pub({ topic }), refused('"topic"')],
]);

/** Ordinary names, though not to every program. */
const oddTopics = [
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "...", "..a", "a/b", "-", "--help"],
  ...["null", "0", "a/...", "x".repeat(255), "history:2026-01-01_00.00"],
];

const topicsNotThere: FrameCase[] = [
  ...["nowhere", "__proto__", "constructor", "toString", "hasOwnProperty", "x".repeat(255)],
].flatMap((topic): FrameCase[] => [
  [`subscribe: no topic ${shown(topic)}`, sub({ topic }), refused(topic, "TOPIC_NOT_FOUND")],
  [`publish: no topic ${shown(topic)}`, pub({ topic }), refused(topic, "TOPIC_NOT_FOUND")],
  [`unsubscribe: no topic ${shown(topic)}`, unsub({ topic }), acked],
]);

const oddIds: FrameCase[] = [
  ...["__proto__", "constructor", "toString", " ", "\0", "\n", "\x1b[31m", "\u202e", "\u200b"],
  ...["\ufeff", "\ud800", "\udc00", "💥", "a b", '"', "\\", "é".repeat(255), "x".repeat(255)],
].flatMap((id): FrameCase[] => [
  [`subscribe: client_id ${shown(id)}`, sub({ client_id: id }), acked],
  [`unsubscribe: client_id ${shown(id)}`, unsub({ client_id: id }), acked],
  [`ping: request_id ${shown(id)}`, { type: "ping", request_id: id }, pong],
]);

const otherFrames: FrameCase[] = [
  ["client_id of 256", sub({ client_id: tooLong }), refused('"client_id"')],
  ["request_id empty", { type: "ping", request_id: "" }, pong],
  ["request_id of 60,000", { type: "ping", request_id: "r".repeat(60_000) }, pong],
  ["request_id in a refusal", sub({ request_id: "\ud800\n\u202e", topic: 1 }), refused('"topic"')],

  ["last_n 0", sub({ last_n: 0 }), replays()],
  ["last_n -0", '{"type":"subscribe","topic":"history","client_id":"c","last_n":-0}', replays()],
  ["last_n 2", sub({ last_n: 2 }), replays(2, 3)],
  [
    "last_n 2.0",
    '{"type":"subscribe","topic":"history","client_id":"c","last_n":2.0}',
    replays(2, 3),
  ],
  [
    "last_n 2e0",
    '{"type":"subscribe","topic":"history","client_id":"c","last_n":2e0}',
    replays(2, 3),
  ],
  ["last_n 4", sub({ last_n: 4 }), replays(1, 2, 3)],
  ["last_n 2^53", sub({ last_n: 2 ** 53 }), replays(1, 2, 3)],
  ["last_n 1e308", sub({ last_n: 1e308 }), replays(1, 2, 3)],
  [
    "last_n 1e400",
    '{"type":"subscribe","topic":"history","client_id":"c","last_n":1e400}',
    refused('"last_n"'),
  ],

  ["id nil", message({ id: "00000000-0000-0000-0000-000000000000" }), acked],
  ["id max", message({ id: "ffffffff-ffff-ffff-ffff-ffffffffffff" }), acked],
  ["id upper case", message({ id: uuid.toUpperCase() }), acked],
  ["id mixed case", message({ id: uuid.replace("a", "A") }), acked],
  ["id of no RFC variant", message({ id: "a1b2c3d4-e5f6-7890-1234-567890abcdef" }), acked],
  ["id of version 0", message({ id: "a1b2c3d4-e5f6-0890-8234-567890abcdef" }), acked],
  ["id twice is two messages", message({}), acked],
  ...[
    "",
    "1",
    `${uuid}\n`,
    `\n${uuid}`,
    ` ${uuid}`,
    `{${uuid}}`,
    `urn:uuid:${uuid}`,
    uuid.replaceAll("-", ""),
    uuid.slice(1),
    `${uuid}0`,
    uuid.replace("a", "g"),
    uuid.replace("1", "１"),
    uuid.replaceAll("-", "_"),
    uuid.replaceAll("-", "\u2010"),
    `${uuid}\0`,
    '","x":"',
    "__proto__",
  ].map((id): FrameCase => [`id ${shown(id)}`, message({ id }), refused('"message.id"')]),

  [
    "fields that are only inherited",
    `{"__proto__":${JSON.stringify(ping)}}`,
    refused('"type"'),
  ],
  [
    "message with inherited fields",
    `{"type":"publish","topic":"work","message":{"__proto__":{"id":"${uuid}","payload":1}}}`,
    refused('"message.id"'),
  ],
  ["constructor as an unknown field", { ...ping, constructor: { prototype: 1 } }, pong],
  ["__proto__ as an unknown field", '{"__proto__":[1],"type":"ping","request_id":"r"}', pong],
  ["unknown fields", { ...ping, color: "red", since: 5, topic: [] }, pong],
  ["duplicate type: the last counts", '{"type":"publish","type":"ping"}', pong],
  ["duplicate type: the last is bad", '{"type":"ping","type":1}', refused('"type"')],
  ["duplicate request_id", '{"type":"ping","request_id":1,"request_id":"r"}', pong],
  ["escaped keys", '{"t\\u0079pe":"ping","request\\u005fid":"r"}', pong],
  ["escaped value", '{"type":"\\u0070ing","request_id":"\\u0072"}', pong],
  ["white space", ' \t\r\n{ "type" :\n"ping"\r,\t"request_id" : "r" } \n', pong],

  ["64 deep, ignored", `{"type":"ping","x":${nested(64)}}`, pong],
  ["10,000 deep, ignored", `{"type":"ping","x":${nested(10_000)}}`, pong],
  [
    "10,000 objects deep, ignored",
    `{"type":"ping","x":${'{"x":'.repeat(10_000)}1${"}".repeat(10_000)}}`,
    pong,
  ],
  ["10,000 deep as type", `{"type":${nested(10_000)}}`, refused('"type"')],
  [
    "10,000 deep as request_id",
    `{"type":"ping","request_id":${nested(10_000)}}`,
    refused('"request_id"'),
  ],
  [
    "10,000 deep as topic",
    `{"type":"subscribe","client_id":"c","topic":${nested(10_000)}}`,
    refused('"topic"'),
  ],
  [
    "129 deep as payload",
    `{"type":"publish","topic":"work","message":{"id":"${uuid}","payload":${nested(129)}}}`,
    refused('"message.payload"'),
  ],
  [
    "10,000 deep as payload",
    `{"type":"publish","topic":"work","message":{"id":"${uuid}","payload":${nested(10_000)}}}`,
    refused('"message.payload"'),
  ],

  ["64 KiB - 1", padded(kib64 - 1), pong],
  ["64 KiB", padded(kib64), pong],
  ["64 KiB - 1 in wide characters", paddedWide(kib64 - 1), pong],
  ["64 KiB in wide characters", paddedWide(kib64), pong],
];

// ---------------------------------------------------------------------------------------------------------------------
// A payload arrives as it was sent.

type PayloadCase = readonly [name: string, sent: string, arrives?: string];

const payloads: PayloadCase[] = [
  ["null", "null"],
  ["false", "false"],
  ["0", "0"],
  ["-0", "-0"],
  ["empty text", '""'],
  ["20 digits", "12345678901234567890"],
  ["400 digits", "9".repeat(400)],
  ["1e400", "1e400"],
  ["-1E+400", "-1E+400"],
  ["many decimals", "0.1000000000000000055511151231257827"],
  ["numbers inside", '{"a":[12345678901234567890,{"b":1e400}],"c":1.0}'],
  ["lone surrogates, escaped", '"\\ud800 \\udc00"'],
  ["control characters, escaped", '"\\u0000\\u001b\\n\\u007f"'],
  ["bidi marks and separators", '"\u202e\u2028\u2029\u200b"'],
  ["BOM inside", '"\ufeff"'],
  ["what looks like the end", '"},\\"offset\\":9,\\"x\\":{\\""'],
  ["what looks like a key", '"\\"payload\\":1"'],
  ["backslashes", '"\\\\\\\\\\""'],
  ["keys of Object.prototype", '{"__proto__":{"x":1},"constructor":1,"toString":null}'],
  ["duplicate keys", '{"a":1,"a":2}'],
  ["escaped keys", '{"p\\u0061yload":1}'],
  ["a payload inside", '{"id":1,"payload":{"payload":2}}'],
  ["64 deep", nested(64)],
  ["128 deep", nested(128)],
  ["spaces inside", '{ "a" :\t[ 1 , 2 ] }'],
  ["line breaks outside strings", '{\r\n"a":\n[1]}', '{ "a": [1]}'],
];

/** Frames whose payload is not where it is usually. */
const payloadFrames: PayloadCase[] = [
  [
    "escaped name",
    `{"type":"publish","topic":"echo","message":{"id":"${uuid}","p\\u0061yload":1e400}}`,
    "1e400",
  ],
  [
    "escaped message",
    `{"type":"publish","topic":"echo","m\\u0065ssage":{"id":"${uuid}","payload":1.0}}`,
    "1.0",
  ],
  [
    "the last of two payloads",
    `{"type":"publish","topic":"echo","message":{"payload":1,"id":"${uuid}","payload":2}}`,
    "2",
  ],
  [
    "the last of two messages",
    `{"type":"publish","topic":"echo","message":{"id":"x","payload":1},"message":{"id":"${uuid}","payload":2}}`,
    "2",
  ],
  [
    "payload first",
    `{"message":{"payload":[1.50],"id":"${uuid}"},"topic":"echo","type":"publish"}`,
    "[1.50]",
  ],
  [
    "payload outside of message",
    `{"payload":1,"type":"publish","topic":"echo","message":{"payload":2,"id":"${uuid}"}}`,
    "2",
  ],
];

// ---------------------------------------------------------------------------------------------------------------------
// Frames that end the connection.

type ClosingCase = readonly [
  name: string,
  data: string | Uint8Array<ArrayBuffer>,
  code: string,
  close: number,
];

const text = (value: string) => new TextEncoder().encode(value);

const closing: ClosingCase[] = [
  ["binary", text('{"type":"ping"}'), "BAD_REQUEST", 1003],
  ["binary, empty", new Uint8Array(), "BAD_REQUEST", 1003],
  ["64 KiB + 1", padded(kib64 + 1), "PAYLOAD_TOO_LARGE", 1009],
  ["64 KiB + 1 in wide characters", paddedWide(kib64 + 1), "PAYLOAD_TOO_LARGE", 1009],
  ["64 KiB + 1 of no JSON", "x".repeat(kib64 + 1), "PAYLOAD_TOO_LARGE", 1009],
  ["1 MiB", padded(1 << 20), "PAYLOAD_TOO_LARGE", 1009],
];

/** Bytes that are no WebSocket: the runtime ends the connection, without a word or with the RFC's code. */
type BrokenCase = readonly [name: string, bytes: readonly number[], close: number];

const masked = (
  first: number,
  ...payload: number[]
) => [first, 0x80 | payload.length, 0, 0, 0, 0, ...payload];

const broken: BrokenCase[] = [
  ["invalid UTF-8", masked(0x81, 0x22, 0xff, 0x22), 1007],
  ["a surrogate in UTF-8", masked(0x81, 0x22, 0xed, 0xa0, 0x80, 0x22), 1007],
  ["UTF-8 that is cut off", masked(0x81, 0x22, 0xc3), 1007],
  ["overlong UTF-8", masked(0x81, 0x22, 0xc0, 0x80, 0x22), 1007],
  ["reserved opcode 3", masked(0x83, 0x7b, 0x7d), 1002],
  ["reserved opcode 11", masked(0x8b), 1002],
  ["reserved bit", masked(0xc1, 0x7b, 0x7d), 1002],
  ["continuation of nothing", masked(0x80, 0x7b, 0x7d), 1002],
  ["a message inside a message", [...masked(0x01, 0x7b), ...masked(0x81, 0x7d)], 1002],
  ["a fragmented ping", masked(0x09), 1002],
  ["a ping of 126 bytes", [0x89, 0xfe, 0, 126, 0, 0, 0, 0, ...new Array(126).fill(0)], 1002],
  ["a close of one byte", masked(0x88, 3), 1002],
  ["a close with code 1005", masked(0x88, 3, 237), 1002],
  ["a close with invalid UTF-8", masked(0x88, 3, 232, 0xff), 1007],
];

// ---------------------------------------------------------------------------------------------------------------------
// HTTP.

/** The answer to a request; where `code` is not given it is a success, or the runtime's own refusal without a body. */
interface HttpAnswer {
  readonly status: number;
  readonly code?: string;
  readonly says?: string;
  readonly headers?: Readonly<Record<string, string | null>>;
}

type HttpCase = readonly [name: string, request: string | Uint8Array, answer: HttpAnswer];

type Headers = Readonly<Record<string, string | readonly string[] | null>>;

/** A request as text. A header given as `null` is left out, one with two values is sent twice. */
function request(line: string, headers: Headers = {}, body = ""): string {
  const length = body === "" ? null : String(text(body).length);
  const all = { host: "localhost", "content-length": length, ...headers };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((each) => `${name}: ${each}\r\n`)
  );
  return `${line} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

const post = (body: string, headers: Headers = {}) =>
  request("POST /topics", { "content-type": "application/json", ...headers }, body);

const chunked = (body: string, headers: Headers = {}) =>
  `${post("", { "transfer-encoding": "chunked", ...headers })}${
    body.length.toString(16)
  }\r\n${body}\r\n0\r\n\r\n`;

const handshake = (headers: Headers = {}, line = "GET /ws") =>
  request(line, {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  });

const http = (status: number, says: string, code = "BAD_REQUEST", headers = {}): HttpAnswer => ({
  status,
  code,
  says,
  headers,
});
const byRuntime: HttpAnswer = { status: 400 };

const oddHosts: HttpCase[] = [
  ...[
    "",
    " ",
    "a b",
    "a,b",
    "x/ws?",
    "x/ws",
    "x?",
    "x#",
    "user@x",
    "x\\y",
    "%41",
    "é",
    "x:",
    "x:y",
  ],
  ...[
    "x:99999",
    "x:-1",
    "999.999.999.999",
    "1.2.3.4.5",
    "xn--",
    "[::::]",
    "[1:2]",
    "[::1",
    "::1",
    "*",
  ],
].flatMap((host): HttpCase[] => [
  [`Host ${shown(host)} on GET /`, request("GET /", { host }), http(400, '"Host"')],
  [`Host ${shown(host)} on GET /health`, request("GET /health", { host }), http(400, '"Host"')],
]);

const goodHosts: HttpCase[] = ["x", "X.example", "127.0.0.1:8000", "[::1]:8000", "a_b", "x:0", "."]
  .map(
    (host) => [`Host ${host}`, request("GET /", { host }), { status: 200 }],
  );

const paths: Readonly<Record<string, string>> = {
  "/": "GET, HEAD, OPTIONS",
  "/ws": "GET, HEAD, OPTIONS",
  "/topics": "GET, HEAD, OPTIONS, POST",
  "/topics/work": "DELETE, OPTIONS",
  "/topics/%zz": "DELETE, OPTIONS",
  "/health": "GET, HEAD, OPTIONS",
  "/stats": "GET, HEAD, OPTIONS",
};

const methods: HttpCase[] = Object.entries(paths).flatMap(([path, allow]): HttpCase[] => [
  ...["PUT", "PATCH", "TRACE", "get", "BREW"].map((method): HttpCase => [
    `${method} ${path}`,
    request(`${method} ${path}`),
    http(405, method, "BAD_REQUEST", { allow }),
  ]),
  [`OPTIONS ${path}`, request(`OPTIONS ${path}`), { status: 204, headers: { allow } }],
]);

const heads: HttpCase[] = [
  ["HEAD /", request("HEAD /"), { status: 200 }],
  ["HEAD /topics", request("HEAD /topics"), { status: 200 }],
  ["HEAD /health", request("HEAD /health"), { status: 200 }],
  ["HEAD /stats", request("HEAD /stats"), { status: 200 }],
  ["HEAD /topics/work", request("HEAD /topics/work"), {
    status: 405,
    headers: { allow: "DELETE, OPTIONS" },
  }],
  ["HEAD /ws", request("HEAD /ws"), { status: 426, headers: { "sec-websocket-version": "13" } }],
  ["HEAD /nowhere", request("HEAD /nowhere"), { status: 404 }],
];

const noPaths: HttpCase[] = [
  ...[
    "/nowhere",
    "//health",
    "/health/",
    "/HEALTH",
    "/ws/",
    "/topics/",
    "/topics/a/b",
    "/%zz",
    "/%",
  ],
  ...["/health%00", "/health%0a", "/..", "/topics/../health", "/./health", "/%2e%2e/etc/passwd"],
  ...["/__proto__", "/constructor", "/favicon.ico", `/${"x".repeat(8000)}`],
].map((path) => [`GET ${shown(path)}`, request(`GET ${path}`), http(404, "GET / lists")]);

const badNames: HttpCase[] = [
  ...[
    "%2e",
    "%2e%2e",
    ".",
    "..",
    "%zz",
    "%00",
    "%",
    "a%2",
    "%ff",
    "%C3%A9",
    "%E2%80%AE",
    "%ED%A0%80",
  ],
  ...[
    "a%20b",
    "a%0A",
    "a+b",
    "a;b",
    "a%252Fb",
    "%2F",
    "a%2F",
    "%2Fa",
    "a%2F%2Fb",
    "a%2F..%2Fb",
    "a%5Cb",
  ],
  ...["a%3Fb", tooLong, "%41".repeat(256)],
].map((name) => [
  `DELETE /topics/${shown(name)}`,
  request(`DELETE /topics/${name}`),
  http(400, '"name"'),
]);

const namesNotThere: HttpCase[] = [
  ["nowhere", "nowhere"],
  ["__proto__", "__proto__"],
  ["constructor", "constructor"],
  ["%41", '"A"'],
  ["nowhere?name=work", "nowhere"],
  ["a%2Fb", '"a/b"'],
  ["x".repeat(255), "xxx"],
].map(([name, says]) => [
  `DELETE /topics/${shown(name!)}`,
  request(`DELETE /topics/${name}`),
  http(404, says!, "TOPIC_NOT_FOUND"),
]);

const bodies: HttpCase[] = [
  ["no body", post(""), http(400, "not valid JSON")],
  ["{", post("{"), http(400, "not valid JSON")],
  ["text", post("name=x"), http(400, "not valid JSON")],
  ["10,000 open brackets", post("[".repeat(10_000)), http(400, "not valid JSON")],
  ["two values", post('{"name":"x"}{"name":"y"}'), http(400, "not valid JSON")],
  ["null", post("null"), http(400, "must be a JSON object")],
  ["true", post("true"), http(400, "must be a JSON object")],
  ["1", post("1"), http(400, "must be a JSON object")],
  ['"name"', post('"name"'), http(400, "must be a JSON object")],
  ["[]", post('[{"name":"x"}]'), http(400, "must be a JSON object")],
  ["{}", post("{}"), http(400, '"name"')],
  ["inherited name", post('{"__proto__":{"name":"x"}}'), http(400, '"name"')],
  ["10,000 deep", post(`{"name":${nested(10_000)}}`), http(400, '"name"')],
  ...[...wrong("string"), "", " ", "..", "a/../b", "a b", "a\n", "\0", "\ud800", "\u202e", tooLong]
    .map(
      (name): HttpCase => [
        `name ${shown(JSON.stringify(name))}`,
        post(JSON.stringify({ name })),
        http(400, '"name"'),
      ],
    ),
  ["name in invalid UTF-8", invalidUtf8(), http(400, '"name"')],
  ["a name that is taken", post('{"name":"work"}'), http(409, '"work"', "TOPIC_EXISTS")],
  [
    "an escaped name that is taken",
    post('{"n\\u0061me":"w\\u006frk"}'),
    http(409, '"work"', "TOPIC_EXISTS"),
  ],
  ["the last of two names", post('{"name":5,"name":"work"}'), http(409, '"work"', "TOPIC_EXISTS")],
  [
    "unknown fields",
    post('{"color":1,"name":"work","__proto__":2}'),
    http(409, '"work"', "TOPIC_EXISTS"),
  ],
  ["BOM", post('\ufeff{"name":"work"}'), http(409, '"work"', "TOPIC_EXISTS")],

  ["64 KiB - 1", post('{"name":"work"}'.padEnd(kib64 - 1)), http(409, '"work"', "TOPIC_EXISTS")],
  ["64 KiB", post('{"name":"work"}'.padEnd(kib64)), http(409, '"work"', "TOPIC_EXISTS")],
  [
    "64 KiB + 1",
    post('{"name":"work"}'.padEnd(kib64 + 1)),
    http(413, "65536", "PAYLOAD_TOO_LARGE"),
  ],
  [
    "64 KiB in chunks",
    chunked('{"name":"work"}'.padEnd(kib64)),
    http(409, '"work"', "TOPIC_EXISTS"),
  ],
  [
    "64 KiB + 1 in chunks",
    chunked('{"name":"work"}'.padEnd(kib64 + 1)),
    http(413, "65536", "PAYLOAD_TOO_LARGE"),
  ],
  ["a body for GET", request("GET /health", {}, "x".repeat(100)), { status: 200 }],
  ["64 KiB + 1 for GET", request("GET /health", {}, "x".repeat(kib64 + 1)), { status: 200 }],
  ["chunks for GET", chunked("{}").replace("POST /topics", "GET /health"), { status: 200 }],
  [
    "chunks for DELETE",
    chunked("{}").replace("POST /topics", "DELETE /topics/nowhere"),
    http(404, "nowhere", "TOPIC_NOT_FOUND"),
  ],
  [
    "a body for DELETE",
    request("DELETE /topics/nowhere", {}, "{"),
    http(404, "nowhere", "TOPIC_NOT_FOUND"),
  ],
];

const publishBody = (body: string, headers: Headers = {}) =>
  request("POST /topics/work/messages", { "content-type": "application/json", ...headers }, body);

const messages: HttpCase[] = [
  ...["", "{", "payload"].map((
    body,
  ): HttpCase => [`body ${body}`, publishBody(body), http(400, "not valid JSON")]),
  ...["null", "true", "1", '"x"'].map((
    body,
  ): HttpCase => [`body ${body}`, publishBody(body), http(400, "must be an object")]),
  ...wrong("string").map((id): HttpCase => [
    `id ${shown(JSON.stringify(id))}`,
    publishBody(JSON.stringify({ id, payload: 1 })),
    http(400, '"id"'),
  ]),
  [
    "id with a newline",
    publishBody(JSON.stringify({ id: `${uuid}\n`, payload: 1 })),
    http(400, '"id"'),
  ],
  ["no payload", publishBody(`{"id":"${uuid}"}`), http(400, '"payload"')],
  ["inherited payload", publishBody('{"__proto__":{"payload":1}}'), http(400, '"payload"')],
  ["10,000 deep", publishBody(`{"payload":${nested(10_000)}}`), http(400, '"payload"')],
  ["64 deep", publishBody(`{"payload":${nested(64)}}`), { status: 200 }],
  ["payload null", publishBody('{"payload":null}'), { status: 200 }],
  ...[...wrong("boolean"), "true"].map((idempotent): HttpCase => [
    `idempotent ${shown(JSON.stringify(idempotent))}`,
    publishBody(JSON.stringify({ payload: 1, idempotent })),
    http(400, '"idempotent"'),
  ]),
  ["an empty array", publishBody("[]"), { status: 200 }],
  ["an array of what is no message", publishBody("[1,null,[],{}]"), { status: 200 }],
  [
    "text/plain",
    publishBody('{"payload":1}', { "content-type": "text/plain" }),
    http(415, '"Content-Type"'),
  ],
  ["64 KiB", publishBody('{"payload":1}'.padEnd(kib64)), { status: 200 }],
  [
    "64 KiB + 1",
    publishBody('{"payload":1}'.padEnd(kib64 + 1)),
    http(413, "65536", "PAYLOAD_TOO_LARGE"),
  ],
  [
    "to no topic",
    publishBody('{"payload":1}').replace("/work/", "/__proto__/"),
    http(404, "__proto__", "TOPIC_NOT_FOUND"),
  ],
  ["to a bad topic", publishBody('{"payload":1}').replace("/work/", "/%00/"), http(400, '"name"')],
  [
    "history of no topic",
    request("GET /topics/toString/messages"),
    http(404, "toString", "TOPIC_NOT_FOUND"),
  ],
  ["history of a bad topic", request("GET /topics/%2e%2e/messages"), http(400, '"name"')],
  [
    "PUT",
    request("PUT /topics/work/messages"),
    http(405, "PUT", "BAD_REQUEST", { allow: "GET, HEAD, OPTIONS, POST" }),
  ],
  ...["", "x", "-1", "1.5", "0x1", "1e3", "%00", "9".repeat(400), "1&after=2"].map((
    after,
  ): HttpCase => [
    `after=${shown(after)}`,
    request(`GET /topics/work/messages?after=${after}`),
    http(400, '"after" must be a whole number'),
  ]),
  ...["", "x", "0", "-1", "1.5", "1001", "9".repeat(400), "1&limit=2"].map((limit): HttpCase => [
    `limit=${shown(limit)}`,
    request(`GET /topics/work/messages?limit=${limit}`),
    http(400, '"limit" must be'),
  ]),
  [
    "two epochs",
    request("GET /topics/work/messages?after=1&epoch=a&epoch=b"),
    http(400, '"epoch" must be'),
  ],
  ["unknown parameters", request("GET /topics/work/messages?__proto__=1&color=red&%zz"), {
    status: 200,
  }],
];

/** Requests whose end never comes: the client closes its side after what stands here. */
const cutOff: HttpCase[] = [
  ["in the body", post('{"name":', { "content-length": "100" }), http(400, "not valid JSON")],
  [
    "in a chunk",
    post("", { "transfer-encoding": "chunked" }) + "64\r\n{",
    http(400, "ended too early"),
  ],
  [
    "in the body of a message",
    publishBody('{"payload":', { "content-length": "100" }),
    http(400, "ended too early"),
  ],
  [
    "between chunks",
    post("", { "transfer-encoding": "chunked" }) + "1\r\n{\r\n",
    http(400, "ended too early"),
  ],
];

function invalidUtf8(): Uint8Array {
  const bytes = text(post('{"name":"wor?"}'));
  bytes[bytes.length - 3] = 0xff;
  return bytes;
}

const contentTypes: HttpCase[] = [
  ...[
    null,
    "",
    "text/plain",
    "text/json",
    "text/x+json",
    "application/jsonx",
    "application/x-www-form-urlencoded",
  ],
  ...["multipart/form-data; boundary=x", "json", "application/json, text/plain", "*/*"],
].map((type) => [
  `Content-Type ${type}`,
  post('{"name":"work"}', { "content-type": type }),
  http(415, '"Content-Type"', "BAD_REQUEST", { accept: "application/json" }),
]);

const jsonTypes: HttpCase[] = [
  ...[
    "APPLICATION/JSON",
    "application/json;charset=utf-8",
    "application/json ; charset=UTF-8",
    "application/json;",
  ],
  ...["application/problem+json", "application/vnd.x-2+json"],
].map((type) => [
  `Content-Type ${type}`,
  post('{"name":"work"}', { "content-type": type }),
  http(409, '"work"', "TOPIC_EXISTS"),
]);

const rawRequests: HttpCase[] = [
  ["no Host", request("GET /health", { host: null }), http(400, '"Host"')],
  ["no Host in HTTP/1.0", "GET /health HTTP/1.0\r\n\r\n", http(400, '"Host"')],
  ["two Hosts", request("GET /health", { host: ["x", "y"] }), byRuntime],
  ["two Hosts that agree", request("GET /health", { host: ["x", "x"] }), byRuntime],
  [
    "two Content-Types",
    post('{"name":"work"}', { "content-type": ["application/json", "text/plain"] }),
    http(415, '"Content-Type"'),
  ],
  ["two Content-Lengths", post("{}", { "content-length": ["2", "3"] }), byRuntime],
  ["negative Content-Length", post("{}", { "content-length": "-1" }), byRuntime],
  ["Content-Length in words", post("{}", { "content-length": "two" }), byRuntime],
  ["Content-Length and chunks", chunked("{}", { "content-length": "2" }), byRuntime],
  ["a target without slash", request("GET health"), byRuntime],
  ["a target of nothing", "GET HTTP/1.1\r\nHost: x\r\n\r\n", byRuntime],
  ["another host in the target", request("GET http://elsewhere/nowhere"), http(404, "/nowhere")],
  ["a target without a path", request("BREW http://elsewhere?topics"), http(400, "a path")],
  ["a target for a tunnel", request("CONNECT elsewhere:80"), http(400, "a path")],
  ["OPTIONS *", request("OPTIONS *"), http(404, "GET / lists")],
  ["a header with a space in its name", request("GET /health", { "x y": "z" }), byRuntime],
  ["a header with a control character", request("GET /health", { x: "a\x01b" }), byRuntime],
  ["no HTTP", "HELLO\r\n\r\n", byRuntime],
  ["HTTP/9.9", "GET /health HTTP/9.9\r\nHost: x\r\n\r\n", byRuntime],
  ["TLS", new Uint8Array([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0, 13, 10, 13, 10]), byRuntime],
];

const v13 = { "sec-websocket-version": "13" };

const handshakes: HttpCase[] = [
  [
    "no Upgrade",
    handshake({ upgrade: null }),
    http(426, '"Upgrade"', "BAD_REQUEST", { upgrade: "websocket", ...v13 }),
  ],
  ["Upgrade: h2c", handshake({ upgrade: "h2c" }), http(426, '"Upgrade"', "BAD_REQUEST", v13)],
  [
    "two Upgrades",
    handshake({ upgrade: ["websocket", "websocket"] }),
    http(426, '"Upgrade"', "BAD_REQUEST", v13),
  ],
  ["no Connection", handshake({ connection: null }), http(400, '"Connection"')],
  ["Connection: keep-alive", handshake({ connection: "keep-alive" }), http(400, '"Connection"')],
  ["Connection: upgraded", handshake({ connection: "upgraded" }), http(400, '"Connection"')],
  ...[null, "", "8", "12", "14", "013", "13, 8", "thirteen"].map((version): HttpCase => [
    `version ${version}`,
    handshake({ "sec-websocket-version": version }),
    http(426, '"Sec-WebSocket-Version"', "BAD_REQUEST", v13),
  ]),
  [
    "two versions",
    handshake({ "sec-websocket-version": ["13", "13"] }),
    http(426, '"Sec-WebSocket-Version"', "BAD_REQUEST", v13),
  ],
  ...[
    null,
    "",
    "short",
    "dGhlIHNhbXBsZSBub25jZQ",
    "dGhlIHNhbXBsZSBub25jZSE_==",
    "AAAAAAAAAAAAAAAAAAAAAAAAAA==",
  ].map(
    (
      key,
    ): HttpCase => [
      `key ${key}`,
      handshake({ "sec-websocket-key": key }),
      http(400, '"Sec-WebSocket-Key"'),
    ],
  ),
  [
    "two keys",
    handshake({ "sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="] }),
    http(400, '"Sec-WebSocket-Key"'),
  ],
  [
    "by POST",
    handshake({}, "POST /ws"),
    http(405, "POST", "BAD_REQUEST", { allow: "GET, HEAD, OPTIONS" }),
  ],
  ["by HEAD", handshake({}, "HEAD /ws"), { status: 400 }],
  ["with an odd Host", handshake({ host: "x/health?" }), http(400, '"Host"')],
  ["on another path", handshake({}, "GET /nowhere"), http(404, "/nowhere")],
  ["on a path for HTTP", handshake({}, "GET /health"), { status: 200 }],
  ["as Firefox does", handshake({ connection: "keep-alive, Upgrade" }), { status: 101 }],
  ["with two Connections", handshake({ connection: ["keep-alive", "upgrade"] }), { status: 101 }],
  ["with Upgrade: WebSocket", handshake({ upgrade: "WebSocket" }), { status: 101 }],
  ["with a query", handshake({}, "GET /ws?x=%zz"), { status: 101 }],
  [
    "with offers that are not taken up",
    handshake({
      "sec-websocket-protocol": "chat, __proto__",
      "sec-websocket-extensions": "permessage-deflate",
    }),
    { status: 101, headers: { "sec-websocket-protocol": null, "sec-websocket-extensions": null } },
  ],
];

// ---------------------------------------------------------------------------------------------------------------------

Deno.test("bad and odd input gets its exact answer, and nobody beside it notices", async (test) => {
  await using server = await serve();
  for (const topic of ["work", "history", "echo", "beside"]) await makeTopic(server, topic);
  await using client = await Client.connect(server);
  for (let sent = 0; sent < 3; sent++) await client.request(publish("history", sent));
  await using bystander = await Client.connect(server);
  await bystander.request(subscribe("beside"));
  await using publisher = await Client.connect(server);
  let ran = 0;

  /** Runs all cases of a table; tells of all that failed, not only of the first. */
  async function section<Case extends readonly [name: string, ...unknown[]]>(
    name: string,
    cases: readonly Case[],
    check: (each: Case) => Promise<void>,
  ): Promise<void> {
    await test.step(`${name}: ${cases.length}`, async () => {
      const failures: string[] = [];
      for (const each of cases) {
        try {
          await check(each);
        } catch (thrown) {
          failures.push(`${each[0]}: ${thrown instanceof Error ? thrown.message : thrown}`);
        }
        ran++;
        const { offset } = await publisher.request(publish("beside", each[0]));
        assertEquals(offset, ran);
      }
      assertEquals(failures, []);
    });
  }

  const checkFrame = ([, frame, answer]: FrameCase) => answers(client, frame, answer);

  await section("frames that are no JSON", notJson, checkFrame);
  await section("frames that are no object", notAnObject, checkFrame);
  await section("fields of a wrong type", wrongTypes, checkFrame);
  await section("topics that no topic can have", badTopics, checkFrame);
  await section("topics that are not there", topicsNotThere, checkFrame);
  await section("odd client and request ids", oddIds, checkFrame);
  await section("other odd frames", otherFrames, checkFrame);

  const echoed: string[] = [];
  client.socket.addEventListener("message", ({ data }) => echoed.push(data));
  await client.request(subscribe("echo"));
  await section("payloads", payloads, ([, sent, arrives = sent]) => {
    const frame =
      `{"type":"publish","topic":"echo","message":{"id":"${uuid}","payload": ${sent} }}`;
    return arrivesAs(client, echoed, frame, arrives);
  });
  await section(
    "payloads in odd frames",
    payloadFrames,
    ([, frame, arrives]) => arrivesAs(client, echoed, frame, arrives!),
  );
  await section(
    "odd topics that work",
    oddTopics.map((topic) => [topic] as const),
    ([topic]) => works(server, client, topic),
  );
  await section("frames that end the connection", closing, (each) => closes(server, each));
  await section("bytes that are no WebSocket", broken, (each) => breaks(server, each));

  const checkHttp = ([, sent, answer]: HttpCase) => answersHttp(server, sent, answer);

  await section("odd Hosts", oddHosts, checkHttp);
  await section("Hosts that are right", goodHosts, checkHttp);
  await section("methods", methods, checkHttp);
  await section("HEAD", heads, checkHttp);
  await section("unknown paths", noPaths, checkHttp);
  await section("names in paths", badNames, checkHttp);
  await section("names of no topic", namesNotThere, checkHttp);
  await section("bodies", bodies, checkHttp);
  await section("messages over HTTP", messages, checkHttp);
  await section("requests cut off", cutOff, async ([, sent, answer]) => {
    await answersHttp(server, sent, answer, { closesAfter: true });
  });
  await section("content types that are not read", contentTypes, checkHttp);
  await section("content types that are", jsonTypes, checkHttp);
  await section("requests by hand", rawRequests, checkHttp);
  await section("handshakes", handshakes, checkHttp);

  await bystander.fence();
  assertEquals(
    bystander.events.map(({ offset }) => offset),
    Array.from({ length: ran }, (_, index) => index + 1),
    "the bystander gets every message once, in order",
  );
  assertEquals(bystander.received.length, ran + 2, "and nothing else but its ack and pong");
  assertEquals(server.logged.filter(({ level }) => level === "error"), []);
  assert(ran >= 80);
  console.log(`${ran} cases of bad and odd input`);
});

/** Sends a frame and then a ping: what comes before the pong is the answer. */
async function answers(client: Client, frame: unknown, expected: Answer): Promise<void> {
  const received = await exchange(client, frame);
  const events = received.filter(({ type }) => type === "event");
  const [answer, ...more] = received.filter(({ type }) => type !== "event");
  assertEquals(more, []);
  assertEquals(answer?.type, expected.type, JSON.stringify(answer));
  assert(!Number.isNaN(Date.parse(answer.ts)) && answer.ts.endsWith("Z"));
  assertEquals(answer.error?.code, expected.code);
  if (expected.says !== undefined) assertStringIncludes(answer.error.message, expected.says);
  assertEquals(events.map(({ offset }) => offset), [...expected.replays ?? []]);

  const sent = readable(frame);
  assertEquals(answer.request_id, asText(sent?.request_id), "request_id is echoed");
  if (answer.type !== "pong") assertEquals(answer.topic, asText(sent?.topic), "topic is echoed");
  if (answer.type === "ack") {
    assertEquals(answer.status, "ok");
    if (sent.type === "subscribe") {
      const { topic, client_id } = sent;
      await client.request({ type: "unsubscribe", topic, client_id });
    }
  }
}

async function exchange(client: Client, frame: unknown): Promise<Received[]> {
  const before = client.received.length;
  client.send(frame);
  const request_id = crypto.randomUUID();
  client.send({ type: "ping", request_id });
  await client.find((message) => message.request_id === request_id);
  return client.received.slice(before, -1);
}

async function arrivesAs(
  client: Client,
  received: readonly string[],
  frame: string,
  payload: string,
): Promise<void> {
  const before = received.length;
  const answer = (await exchange(client, frame)).find(({ type }) => type !== "event");
  assertEquals(answer?.type, "ack", JSON.stringify(answer));
  const events = received.slice(before).filter((text) => text.startsWith('{"type":"event"'));
  assertEquals(events.length, 1);
  assertStringIncludes(
    events[0]!,
    `"message":{"id":"${uuid}","payload":${payload}},"offset":${answer.offset},`,
  );
}

/** A topic from its making to its end. */
async function works(server: TestServer, client: Client, topic: string): Promise<void> {
  await makeTopic(server, topic);
  const { type, offset } = await client.request(subscribe(topic));
  assertEquals({ type, offset }, { type: "ack", offset: 0 });
  assertEquals((await client.request(publish(topic, topic))).offset, 1);
  const event = client.received.find((each) => each.type === "event" && each.topic === topic);
  assertEquals(event.message.payload, topic);
  await answersHttp(server, request(`DELETE /topics/${encodeURIComponent(topic)}`), {
    status: 200,
  });
  const info = await client.find((message) => message.type === "info");
  assertEquals([info.msg, info.topic], ["topic_deleted", topic]);
}

async function closes(server: TestServer, [, data, code, close]: ClosingCase): Promise<void> {
  await using client = await Client.connect(server);
  client.socket.send(data);
  const ended = await client.closed;
  assertEquals(ended, { code: close, reason: code });
  assertEquals(client.received.map(({ type, error }) => [type, error.code]), [["error", code]]);
}

async function breaks(server: TestServer, [, bytes, close]: BrokenCase): Promise<void> {
  using raw = await RawClient.connect(server.port);
  await raw.sendBytes(new Uint8Array(bytes));
  for (let frame; (frame = await raw.read()) !== undefined;) {
    assertEquals(frame.opcode, 8, "nothing but a close frame is answered");
    const code = (frame.payload[0]! << 8) | frame.payload[1]!;
    assertEquals(code, close);
  }
}

async function answersHttp(
  server: TestServer,
  sent: string | Uint8Array,
  expected: HttpAnswer,
  options: { closesAfter?: boolean } = {},
): Promise<void> {
  const { status, headers, body } = await askByHand(server.port, sent, options);
  assertEquals(status, expected.status, body);
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    assertEquals(headers.get(name), value, name);
  }
  if (status < 400 || expected.code === undefined) {
    if (status >= 400) assertEquals(body, "");
    return;
  }
  const { error, ...rest } = JSON.parse(body);
  assertEquals(rest, {});
  assertEquals(Object.keys(error), ["code", "message"]);
  assertEquals(error.code, expected.code);
  assertStringIncludes(error.message, expected.says!);
  assert(!/\n|\.[tj]s\b|file:|node_modules/.test(error.message), `shows its insides: ${body}`);
  assertEquals(headers.get("content-type"), "application/json");
}

/** A frame as its receiver may read it; `undefined` when it cannot. */
function readable(frame: unknown): Received {
  try {
    return typeof frame === "string" ? JSON.parse(frame) : frame;
  } catch {
    return undefined;
  }
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A text as it can stand in a name: in ASCII, and not too long. */
function shown(value: string | undefined): string {
  const quoted = JSON.stringify(value ?? "nothing").replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return quoted.length > 40 ? `${quoted.slice(0, 40)}…` : quoted;
}

/** What the fuzzer begins with. */
export const fuzzSeeds = {
  frames: [
    ...[notJson, notAnObject, wrongTypes, badTopics, topicsNotThere, oddIds, otherFrames].flat(),
    ...payloads.map(([name, sent]) =>
      [
        name,
        `{"type":"publish","topic":"echo","message":{"id":"${uuid}","payload": ${sent} }}`,
      ] as const
    ),
    ...payloadFrames,
  ].map(([, frame]) => typeof frame === "string" ? frame : JSON.stringify(frame)),
  bytes: broken.map(([, bytes]) => bytes),
  requests: [
    ...[oddHosts, goodHosts, methods, heads, noPaths, badNames, namesNotThere, bodies, messages],
    ...[cutOff, contentTypes, jsonTypes, rawRequests, handshakes],
  ].flat().map(([, sent]) => typeof sent === "string" ? text(sent) : sent),
};
