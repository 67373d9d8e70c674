/** The floods: each says what it does in one step, and how many things that were. */

import { close, connectTcp, send } from "../bench/driver/libc.ts";
import { encodeFrame, handshake } from "../frames.ts";
import { commandFrame, Flooder, repeated } from "./descriptors.ts";

/** One kind of flood. */
export interface Flood {
  /** What is counted. */
  readonly unit: string;
  /** How many of them in a second are sent at the most; as many as the server takes when not given. */
  readonly perSecond?: number;
  /** Prepares it; the answer does one step, and says how many units that was, 0 when nothing can be done just now. */
  start(port: number): () => number;
}

/** The topic that floods use: not that of the healthy ones. */
export const floodTopic = "flood";

const encoder = new TextEncoder();
const perStep = 64;
const publishCommand = {
  type: "publish",
  topic: floodTopic,
  message: { id: "a1b2c3d4-e5f6-7890-1234-567890abcdef", payload: "x".repeat(64) },
};

/** Sends the same bytes over and over on a few connections, and reads the answers. */
function onConnections(count: number, bytes: Uint8Array<ArrayBuffer>, units: number) {
  return (port: number) => {
    const flooders = Array.from({ length: count }, () => new Flooder(port));
    let turn = 0;
    return () => {
      const flooder = flooders[turn++ % count]!;
      flooder.drain();
      return flooder.send(bytes) ? units : 0;
    };
  };
}

/** Opens a connection in each step, does something with it, and keeps so many open. */
function onNewConnections(kept: number, greet: (descriptor: number) => void) {
  return (port: number) => {
    const open: number[] = [];
    return () => {
      const descriptor = connectTcp(port);
      greet(descriptor);
      open.push(descriptor);
      if (open.length > kept) close(open.shift()!);
      return 1;
    };
  };
}

const hugeHeaders = [
  `GET /ws HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: ${",".repeat(32_768)}\r\n\r\n`,
  `GET /health HTTP/1.1\r\nHost: x\r\n${"x: y\r\n".repeat(3_000)}\r\n`,
].map((text) => encoder.encode(text));

export const floods: Record<string, Flood> = {
  subscribe: {
    unit: "subscribes",
    start: (port) => {
      const flooder = new Flooder(port);
      let client = 0;
      return () => {
        flooder.drain();
        const client_id = `client ${client++ % 1_000}`;
        const command = { type: "subscribe", topic: floodTopic, client_id, last_n: 10 };
        return flooder.send(repeated(commandFrame(command), perStep)) ? perStep : 0;
      };
    },
  },
  publish: {
    unit: "publishes",
    start: onConnections(4, repeated(commandFrame(publishCommand), perStep), perStep),
  },
  "10,000 unread": {
    unit: "requests",
    perSecond: 20_000,
    start: (port) => {
      const ping = { type: "ping", request_id: "r".repeat(200) };
      const bytes = repeated(commandFrame(ping), perStep);
      let flooder = new Flooder(port);
      let sent = 0;
      return () => {
        if (sent >= 10_000) {
          flooder.close();
          flooder = new Flooder(port);
          sent = 0;
        }
        const taken = flooder.send(bytes) ? perStep : 0;
        sent += taken;
        return taken;
      };
    },
  },
  ping: {
    unit: "pings",
    start: onConnections(4, repeated(commandFrame({ type: "ping" }), perStep), perStep),
  },
  "ping frames": {
    unit: "pings",
    start: onConnections(4, repeated(encodeFrame(9, encoder.encode("ping")), perStep), perStep),
  },
  "one-byte chunks": {
    unit: "bytes",
    start: (port) => {
      const flooders = Array.from({ length: 8 }, () => new Flooder(port));
      const frame = commandFrame(publishCommand);
      let at = 0;
      return () => {
        const byte = frame.slice(at, at + 1);
        at = (at + 1) % frame.length;
        for (const flooder of flooders) {
          flooder.drain();
          // A byte that is not taken would leave all that follows without sense.
          while (!flooder.send(byte));
        }
        return flooders.length;
      };
    },
  },
  "endless fragments": {
    unit: "fragments",
    start: (port) => {
      const begin = encodeFrame(1, new Uint8Array(100));
      begin[0] = 0x01;
      const more = encodeFrame(0, new Uint8Array(100));
      more[0] = 0x00;
      const bytes = repeated(more, perStep);
      // The runtime keeps a message that does not end, however long: after some megabytes comes a new one.
      const most = 50_000;
      let flooder: Flooder | undefined;
      let sent = 0;
      return () => {
        if (!flooder || sent >= most) {
          flooder?.close();
          flooder = new Flooder(port);
          flooder.send(begin);
          sent = 0;
        }
        sent += perStep;
        return flooder.send(bytes) ? perStep : 0;
      };
    },
  },
  connects: {
    unit: "connections",
    perSecond: 5_000,
    start: onNewConnections(500, (descriptor) => send(descriptor, handshake("/ws"))),
  },
  "connect-and-close": {
    unit: "connections",
    perSecond: 5_000,
    start: onNewConnections(0, () => {}),
  },
  "slow heads": {
    unit: "bytes",
    perSecond: 5_000,
    start: (port) => {
      const open = Array.from({ length: 1_000 }, () => connectTcp(port));
      const head = encoder.encode(`GET /health HTTP/1.1\r\nHost: x\r\nx: ${"y".repeat(100_000)}`);
      let sent = 0;
      return () => {
        const at = Math.floor(sent / open.length);
        return send(open[sent++ % open.length]!, head.slice(at, at + 1));
      };
    },
  },
  "bad input": {
    unit: "frames",
    start: onConnections(
      4,
      repeated(commandFrame('{"type":"publish","topic":5}'), perStep),
      perStep,
    ),
  },
  "huge headers": {
    unit: "requests",
    perSecond: 2_000,
    start: (port) => {
      let turn = 0;
      const greet = (descriptor: number) => {
        send(descriptor, hugeHeaders[turn++ % hugeHeaders.length]!);
      };
      return onNewConnections(50, greet)(port);
    },
  },
};
