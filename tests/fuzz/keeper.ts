/** Keeps the server as the corpus knows it: its topics there, and those that inputs made gone. */

import { pause } from "../pause.ts";
import { topics } from "./corpus.ts";

const everyMs = 500;

/** Tidies up until `signal` is aborted; answers the most memory that was seen, in bytes. */
export async function keep(
  server: { readonly url: string; residentBytes(): Promise<number> },
  signal: AbortSignal,
): Promise<number> {
  let peak = 0;
  while (!signal.aborted) {
    await pause(everyMs, signal);
    peak = Math.max(peak, await server.residentBytes());
    const { topics: present } = await (await fetch(`${server.url}/topics`)).json();
    const names: string[] = present.map(({ name }: { name: string }) => name);
    for (const name of names) {
      if (topics.includes(name) || name.startsWith("beside-")) continue;
      await call(`${server.url}/topics/${encodeURIComponent(name)}`, { method: "DELETE" });
    }
    for (const name of topics.filter((name) => !names.includes(name))) {
      await call(`${server.url}/topics`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name }),
      });
    }
  }
  return peak;
}

async function call(url: string, init: RequestInit): Promise<void> {
  await (await fetch(url, init)).body?.cancel();
}
