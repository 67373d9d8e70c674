/** Which messages of a topic were published lately, so that a publish that is tried again is placed once. */

import { createHash } from "node:crypto";
import type { Draft } from "./protocol.ts";

/** For how long, and how many, messages are remembered. */
export interface IdempotencyOptions {
  /** How long a message is remembered, in seconds. */
  readonly idempotencyWindowSeconds: number;
  /** How many messages of one topic are remembered. */
  readonly maxIdempotencyIds: number;
}

interface Remembered {
  readonly offset: number;
  /** Of the payload's text: a publish that is tried again sends the same characters. */
  readonly digest: string;
  readonly atMs: number;
}

/** The lately published messages of one topic, oldest first. */
export class IdempotencyWindow {
  readonly #options: IdempotencyOptions;
  readonly #remembered = new Map<string, Remembered>();

  constructor(options: IdempotencyOptions) {
    this.#options = options;
  }

  /** The offset of the message that a draft repeats; `"id_reused"` when its id stands for another payload. */
  find(draft: Draft): number | "id_reused" | undefined {
    this.#forgetOld();
    const found = this.#remembered.get(keyOf(draft));
    if (!found) return undefined;
    return found.digest === digestOf(draft) ? found.offset : "id_reused";
  }

  /** Remembers a draft that was not found and has its place now. */
  add(draft: Draft, offset: number): void {
    this.#remembered.set(keyOf(draft), {
      offset,
      digest: digestOf(draft),
      atMs: performance.now(),
    });
    if (this.#remembered.size > this.#options.maxIdempotencyIds) this.#forgetOldest();
  }

  #forgetOld(): void {
    const oldestMs = performance.now() - this.#options.idempotencyWindowSeconds * 1000;
    for (const { atMs } of this.#remembered.values()) {
      if (atMs >= oldestMs) return;
      this.#forgetOldest();
    }
  }

  #forgetOldest(): void {
    for (const key of this.#remembered.keys()) {
      this.#remembered.delete(key);
      return;
    }
  }
}

/** UUIDs are the same in either letter case (RFC 9562, section 4). */
function keyOf({ id }: Draft): string {
  return id.toLowerCase();
}

function digestOf({ payload }: Draft): string {
  return createHash("sha256").update(payload).digest("base64");
}
