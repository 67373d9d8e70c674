/** Whether what a server sends over an open WebSocket is as RFC 6455 and the protocol have it. */

import type { Received } from "../harness.ts";

const types = ["ack", "event", "error", "pong", "info"];
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** What a connection brought, and what is wrong with it. */
export interface FramesRead {
  readonly messages: readonly Received[];
  /** The code of the close frame, if one came. */
  readonly closeCode: number | undefined;
  readonly fault?: string;
}

/** Reads frames up to the end of the bytes, where one may be cut off. */
export function readFrames(bytes: Uint8Array): FramesRead {
  const messages: Received[] = [];
  let closeCode: number | undefined;
  const wrong = (fault: string): FramesRead => ({ messages, closeCode, fault });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 2 <= bytes.length;) {
    const [first, second] = [view.getUint8(at), view.getUint8(at + 1)];
    if (closeCode !== undefined) return wrong("a frame after the close frame");
    if ((first & 0xf0) !== 0x80) return wrong(`a frame that begins with ${first}`);
    if (second >= 0x80) return wrong("a masked frame");
    const size = second === 127 ? 8 : second === 126 ? 2 : 0;
    if (at + 2 + size > bytes.length) break;
    const length = size === 8
      ? Number(view.getBigUint64(at + 2))
      : size === 2
      ? view.getUint16(at + 2)
      : second;
    const start = at + 2 + size;
    at = start + length;
    if (at > bytes.length) break;
    const payload = bytes.subarray(start, at);
    switch (first & 15) {
      case 1: {
        const fault = readMessages(payload, messages);
        if (fault) return wrong(fault);
        break;
      }
      case 8: {
        closeCode = payload.length < 2 ? 1000 : (payload[0]! << 8) | payload[1]!;
        const reason = new TextDecoder().decode(payload.subarray(2));
        if (!isCloseCode(closeCode) || reason === "INTERNAL") {
          return wrong(`close ${closeCode} ${reason}`);
        }
        break;
      }
      case 9:
      case 10:
        if (length > 125) return wrong(`a control frame of ${length} bytes`);
        break;
      default:
        return wrong(`opcode ${first & 15}`);
    }
  }
  return { messages, closeCode };
}

/** Whether a close frame may have this code (RFC 6455, section 7.4). The runtime answers one with the code it came with. */
function isCloseCode(code: number): boolean {
  const isRegistered = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
  return isRegistered || (code >= 3000 && code < 5000);
}

function readMessages(payload: Uint8Array, messages: Received[]): string | undefined {
  let value: Received;
  try {
    value = JSON.parse(utf8.decode(payload));
  } catch {
    return `a text frame that is no JSON: ${new TextDecoder().decode(payload).slice(0, 200)}`;
  }
  for (const message of Array.isArray(value) ? value : [value]) {
    if (!types.includes(message?.type)) return `a message of type ${message?.type}`;
    if (message.error?.code === "INTERNAL") return `INTERNAL: ${message.error.message}`;
    messages.push(message);
  }
  return undefined;
}
