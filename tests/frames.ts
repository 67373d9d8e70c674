/** WebSocket frames as bytes (RFC 6455, section 5.2), for clients that are made of a bare TCP socket. */

/** A frame as it came over the wire. */
export interface RawFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** The request that opens a WebSocket, offering a subprotocol if one is named. */
export function handshake(
  path: string,
  protocol = "",
  headers: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const all = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...(protocol !== "" && { "Sec-WebSocket-Protocol": protocol }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return new TextEncoder().encode(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
}

/** One masked frame; the mask is zero, so that the payload goes as it is. */
export function encodeFrame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const size = length < 126
    ? [0x80 | length]
    : length < 65536
    ? [0xfe, length >> 8, length & 255]
    : [0xff, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255];
  const frame = new Uint8Array(1 + size.length + 4 + length);
  frame.set([0x80 | opcode, ...size]);
  frame.set(payload, frame.length - length);
  return frame;
}

/** Bytes behind each other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The first frame of what was read and not looked at yet, and its size with its head; `undefined` when it is not whole. */
export function takeFrame(bytes: Uint8Array): { frame: RawFrame; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const short = bytes[1]! & 127;
  const start = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < start) return undefined;
  const length = short === 126
    ? view.getUint16(2)
    : short === 127
    ? Number(view.getBigUint64(2))
    : short;
  const size = start + length;
  if (bytes.length < size) return undefined;
  return { frame: { opcode: bytes[0]! & 15, payload: bytes.slice(start, size) }, size };
}
