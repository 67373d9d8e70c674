/** Clients that come and go: some do what they like and leave without a word, some send nothing that is right. */

import { pause } from "../pause.ts";
import type { Random } from "../harness.ts";
import { Conversation } from "./conversation.ts";
import { TcpLink } from "./tcp_link.ts";
import { serverSettings, type World } from "./world.ts";

export interface PasserByOptions {
  readonly who: string;
  readonly topics: readonly string[];
  readonly random: Random;
}

const policies = ["drop_oldest", "catch_up", "latest", undefined] as const;

/** Connects, subscribes and unsubscribes in all ways, and leaves: one life after the other. */
export async function churn(world: World, options: PasserByOptions): Promise<void> {
  const { random, topics } = options;
  await live(world, options, async (conversation, link) => {
    for (let left = 3 + random.below(20); left > 0 && !world.over.aborted; left--) {
      const topic = topics[random.below(topics.length)]!;
      const standing = world.ledger.standing(topic);
      switch (random.below(4)) {
        case 0:
          conversation.unsubscribe(topic);
          break;
        case 1:
          conversation.subscribe({ topic, last_n: random.below(30) });
          break;
        case 2:
          conversation.subscribe({
            topic,
            overflow: policies[random.below(policies.length)],
            since: standing && { ...standing, offset: random.below(standing.offset + 1) },
          });
          break;
        default:
          conversation.fence(() => {});
      }
      await pause(random.below(120), world.over);
    }
    if (random.below(2) === 0) link.abort();
    else link.close();
    await link.closed;
  });
}

const badFrames = [
  "",
  "hello",
  "{",
  "[]",
  "null",
  '{"type":"pi\\u0000ng"}',
  '{"type":"publish"}',
  '{"type":"publish","topic":"orders","message":{"id":"no","payload":1}}',
  '{"type":"subscribe","topic":"../etc","client_id":"x"}',
  '{"type":"subscribe","topic":"nowhere","client_id":"x"}',
  '{"type":"subscribe","topic":"orders","client_id":""}',
  '{"type":"subscribe","topic":"orders","client_id":"x","last_n":-1}',
  `{"type":"subscribe","topic":${"[".repeat(5_000)}${"]".repeat(5_000)},"client_id":"x"}`,
];

/** Sends what has to be refused; in the end often bytes that are no WebSocket. */
export async function sendBadInput(world: World, options: PasserByOptions): Promise<void> {
  const { random } = options;
  await live(world, options, async (conversation, link) => {
    for (let left = 1 + random.below(20); left > 0 && !world.over.aborted; left--) {
      world.verdict.badInputs++;
      conversation.misbehave(badFrames[random.below(badFrames.length)]!);
      if (random.below(4) === 0) conversation.fence(() => {});
      await pause(random.below(60), world.over);
    }
    const garbage = Uint8Array.from({ length: 1 + random.below(200) }, () => random.below(256));
    // With reserved bits, or it might happen to be a frame that has an answer.
    garbage[0]! |= 0x70;
    if (random.below(2) === 0) link.sendBytes(garbage);
    await pause(50, world.over);
    link.abort();
  });
}

/** One connection after the other, until everything ends. */
async function live(
  world: World,
  { who, random }: PasserByOptions,
  act: (conversation: Conversation, link: TcpLink) => Promise<void>,
): Promise<void> {
  const { verdict, over } = world;
  while (!over.aborted) {
    let link: TcpLink | undefined;
    try {
      const conversation = await Conversation.open(
        async (onText) => link = await TcpLink.open(world.port(), onText),
        { ...world, who, maySlow: true, maxHistory: serverSettings.maxHistory },
      );
      await act(conversation, link!);
      link!.abort();
      const code = await link!.closed;
      if (code === 1011) verdict.breach("wrong ends", `${who} was closed with 1011`);
    } catch {
      // The server is away.
    }
    await pause(random.below(200), over);
  }
}
