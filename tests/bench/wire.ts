/** How the contenders are spoken to: each dialect says how to subscribe and publish, in the bytes of its protocol. */

import { encodeFrame } from "../frames.ts";

/** The topic of everything that is measured on a single topic. */
export const benchTopic = "bench";

/** Something that a client sends, and the text that the answer contains. */
export interface Step {
  readonly send: Uint8Array;
  readonly expect: string;
}

export interface Dialect {
  /** Path and query of the WebSocket. */
  readonly path: string;
  /** The subprotocol to ask for. */
  readonly subprotocol?: string;
  /** How a new connection becomes a subscriber. */
  readonly subscribe: readonly Step[];
  /** How a new connection becomes a publisher; nothing where it is one at once. */
  readonly preparePublisher: readonly Step[];
  /** The frame that publishes a payload, which is a text in JSON, under the id. */
  publish(topic: string, id: string, payload: string): Uint8Array<ArrayBuffer>;
}

export type DialectName = "tidings" | "tidings-batch" | "relay" | "socket.io" | "nats";

const encoder = new TextEncoder();
const subscribeCommand = { type: "subscribe", topic: benchTopic, client_id: "bench" };

const tidings: Dialect = {
  path: "/ws",
  subscribe: [{ send: textFrame(JSON.stringify(subscribeCommand)), expect: '"status":"ok"' }],
  preparePublisher: [],
  publish: (topic, id, payload) =>
    textFrame(
      `{"type":"publish","topic":"${topic}","message":{"id":"${id}","payload":${payload}}}`,
    ),
};

/** What the contenders that are nothing but a loop understand: they pass on what is not the word `subscribe`. */
const relay: Dialect = {
  path: "/",
  subscribe: [{ send: textFrame("subscribe"), expect: "subscribed" }],
  preparePublisher: [],
  publish: (topic, id, payload) => textFrame(eventText(topic, id, payload)),
};

const socketIo: Dialect = {
  path: "/socket.io/?EIO=4&transport=websocket",
  subscribe: [
    { send: textFrame("40"), expect: "40{" },
    { send: textFrame('42["subscribe"]'), expect: "subscribed" },
  ],
  preparePublisher: [{ send: textFrame("40"), expect: "40{" }],
  publish: (topic, id, payload) => textFrame(`42["publish",${eventText(topic, id, payload)}]`),
};

const natsConnect = 'CONNECT {"verbose":false,"pedantic":false}\r\n';

const nats: Dialect = {
  path: "/",
  subscribe: [{
    send: binaryFrame(`${natsConnect}SUB ${benchTopic} 1\r\nPING\r\n`),
    expect: "PONG",
  }],
  preparePublisher: [{ send: binaryFrame(`${natsConnect}PING\r\n`), expect: "PONG" }],
  publish: (topic, _id, payload) => binaryFrame(`PUB ${topic} ${payload.length}\r\n${payload}\r\n`),
};

export const dialects: Readonly<Record<DialectName, Dialect>> = {
  tidings,
  "tidings-batch": { ...tidings, subprotocol: "tidings.batch.v1" },
  relay,
  "socket.io": socketIo,
  nats,
};

/** What tidings makes of a message, byte for byte but for the digits: the frame that every contender sends. */
function eventText(topic: string, id: string, payload: string): string {
  const message = `{"id":"${id}","payload":${payload}}`;
  return `{"type":"event","topic":"${topic}","message":${message},"offset":10000,"ts":"2026-01-01T00:00:00.000Z"}`;
}

export function textFrame(text: string): Uint8Array<ArrayBuffer> {
  return encodeFrame(1, encoder.encode(text));
}

function binaryFrame(text: string): Uint8Array<ArrayBuffer> {
  return encodeFrame(2, encoder.encode(text));
}
