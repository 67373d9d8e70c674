/** Clients that speak HTTP alone: one publishes, and one holds the history to what is known. */

import { pause } from "../pause.ts";
import type { Random, Received } from "../harness.ts";
import { isVolatile } from "./subscriber.ts";
import type { World } from "./world.ts";

const everyMs = 50;
const auditEveryMs = 200;
/** How many messages of the history are looked at a time: few enough for one page. */
const auditedMessages = 100;

/** Publishes over HTTP, one message or three, until it is told that each is placed. */
export async function publishOverHttp(
  world: World,
  topics: readonly string[],
  random: Random,
): Promise<void> {
  const { verdict, ledger, calm } = world;
  while (!calm.aborted) {
    const topic = topics[random.below(topics.length)]!;
    const messages = Array.from({ length: random.below(4) === 0 ? 3 : 1 }, () => {
      verdict.published++;
      const id = crypto.randomUUID();
      ledger.sent(id);
      return { id, payload: "x".repeat(random.below(800)), idempotent: true };
    });
    for (let attempt = 1;; attempt++) {
      const answer = await ask(world, `/topics/${encodeURIComponent(topic)}/messages`, messages);
      if (answer) {
        takeResults(world, topic, { messages, answer, attempt });
        break;
      }
      if (calm.aborted) {
        verdict.unanswered += messages.length;
        break;
      }
      verdict.retried += messages.length;
      await pause(everyMs);
    }
    await pause(everyMs, calm);
  }
}

/** What was published, and what came back. */
interface Posted {
  readonly messages: readonly { readonly id: string }[];
  readonly answer: Received;
  readonly attempt: number;
}

function takeResults(
  { verdict, ledger }: World,
  topic: string,
  { messages, answer, attempt }: Posted,
): void {
  for (const [index, { id }] of messages.entries()) {
    const result = answer.results?.[index] ?? answer;
    if (result.offset !== undefined) {
      verdict.acked++;
      if (result.duplicate) verdict.duplicatesRefused++;
      if (result.id !== id || (result.duplicate && attempt === 1)) {
        verdict.breach("wrong answers", `HTTP: ${JSON.stringify(result)} to ${id}`);
      }
      ledger.acked(topic, result.epoch, result.offset, id);
      continue;
    }
    verdict.refused++;
    if (attempt === 1) ledger.refused(id);
    const code = result.error?.code;
    if (code !== "SHUTTING_DOWN" && (code !== "TOPIC_NOT_FOUND" || !isVolatile(topic))) {
      verdict.breach("wrong answers", `HTTP: ${JSON.stringify(result).slice(0, 200)} to ${topic}`);
    }
  }
}

/** Reads the newest part of histories: it must have all that was acked, in the one order. */
export async function auditHistory(
  world: World,
  topics: readonly string[],
  random: Random,
): Promise<void> {
  const { verdict, ledger, over } = world;
  while (!over.aborted) {
    await pause(auditEveryMs, over);
    const topic = topics[random.below(topics.length)]!;
    const standing = ledger.standing(topic);
    if (!standing) continue;
    const after = Math.max(0, standing.offset - auditedMessages);
    const query = `after=${after}&epoch=${standing.epoch}&limit=${2 * auditedMessages}`;
    const page = await ask(world, `/topics/${encodeURIComponent(topic)}/messages?${query}`);
    if (!page || page.error || page.epoch !== standing.epoch) continue;
    const offsets = page.messages.map(({ offset }: Received) => offset);
    for (const { offset, message } of page.messages) {
      ledger.placed(topic, standing.epoch, offset, message.id);
    }
    const isWhole = offsets.every((offset: number, index: number) => offset === after + 1 + index);
    const last = offsets.at(-1) ?? after;
    if (page.recovered !== true || !isWhole || last < standing.offset) {
      const what =
        `history of ${topic} after ${after} ends at ${last}; ${standing.offset} was acked`;
      verdict.breach("lost", what);
    }
  }
}

/** A request's answer; `undefined` when there is none, as while the server is away. */
async function ask(world: World, path: string, body?: unknown): Promise<Received | undefined> {
  const life = world.life();
  const init = body === undefined ? {} : {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(Array.isArray(body) && body.length === 1 ? body[0] : body),
  };
  // A connection for each request: one that was kept may be of a server that is gone.
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  try {
    const response = await fetch(`http://127.0.0.1:${world.port()}${path}`, { ...init, client });
    if (response.status >= 500 && response.status !== 503) {
      world.verdict.breach("wrong answers", `HTTP ${response.status} to ${path}`);
    }
    return await response.json();
  } catch (thrown) {
    if (world.life() === life && life % 2 === 0) {
      world.verdict.breach("wrong answers", `no answer to ${path}: ${thrown}`);
    }
    return undefined;
  }
}
