/** Feeds WebSocket connections: with messages that are whole frames, and with frames that are not. */

import { batchSubprotocol } from "../../src/protocol.ts";
import { encodeFrame, handshake } from "../frames.ts";
import type { Random } from "../harness.ts";
import { readFrames } from "./check_frames.ts";
import { faultOfResponses } from "./check_responses.ts";
import { texts } from "./corpus.ts";
import { concat } from "../frames.ts";
import { exchange } from "./exchange.ts";
import type { Findings } from "./findings.ts";
import { mutatedFrame } from "./mutate_frame.ts";
import { mutateJson } from "./mutate_json.ts";

const encoder = new TextEncoder();
const plainPing = encodeFrame(1, encoder.encode('{"type":"ping"}'));
/** Longer messages close the connection. */
const maxMessageBytes = 65_536;

/** How many messages one connection gets. */
export const textsPerConnection = 40;

/** Sends messages, of which each must be answered once, in order, and then a ping. */
export async function fuzzTexts(port: number, random: Random, findings: Findings): Promise<void> {
  const isMerging = random.below(4) === 0;
  const inputs = Array.from(
    { length: textsPerConnection },
    () => encoder.encode(mutateJson(texts[random.below(texts.length)]!, random)),
  ).map((bytes) => bytes.length > maxMessageBytes ? encoder.encode("{}") : bytes);
  const last = crypto.randomUUID();
  const ping = encoder.encode(JSON.stringify({ type: "ping", request_id: last }));
  const sent = concat([
    handshake("/ws", isMerging ? batchSubprotocol : ""),
    ...[...inputs, ping].map((bytes) => encodeFrame(1, bytes)),
  ]);
  const { received, hung } = await exchange(port, sent, last);
  if (hung) return findings.add("hung on messages", sent);
  const fault = faultOfResponses(received, (what) => findings.answered(what));
  if (fault) return findings.add(fault, sent);
  const { messages } = readFrames(received.subarray(headLength(received)));
  const answers = messages.filter(({ type, error }) =>
    type !== "event" && type !== "info" && error?.code !== "SLOW_CONSUMER"
  );
  if (answers.at(-1)?.request_id !== last) findings.add("the last ping had no answer", sent);
  else if (!isMerging && answers.length !== inputs.length + 1) {
    findings.add(`${answers.length} answers to ${inputs.length + 1} messages`, sent);
  }
}

/** Sends an input that may end the connection; before and after it comes a ping. */
export async function fuzzFrame(port: number, random: Random, findings: Findings): Promise<void> {
  const sent = concat([
    handshake("/ws", random.below(4) === 0 ? batchSubprotocol : ""),
    plainPing,
    mutatedFrame(random),
    plainPing,
  ]);
  const { received, hung } = await exchange(port, sent);
  if (hung) return findings.add("hung on frames", sent);
  const fault = faultOfResponses(received, (what) => findings.answered(what));
  if (fault) findings.add(fault, sent);
}

function headLength(bytes: Uint8Array): number {
  return new TextDecoder("latin1").decode(bytes.subarray(0, 1_000)).indexOf("\r\n\r\n") + 4;
}
