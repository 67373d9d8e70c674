/** Puts the parts together, and starts and ends them. */

import { createAccess } from "./access.ts";
import { ClientAddresses } from "./address.ts";
import { Admission } from "./admission.ts";
import { createApp } from "./app.ts";
import { Broker } from "./broker.ts";
import { type Config, limitsOf } from "./config.ts";
import type { Engine } from "./engine.ts";
import { MemoryEngine } from "./engine_memory.ts";
import { Limits } from "./limits.ts";
import { describeThrown, type Log } from "./log.ts";
import { Origins } from "./origins.ts";
import type { Clock } from "./token_bucket.ts";
import { Turn } from "./turn.ts";
import { Sockets } from "./websocket.ts";

/** How long to wait before listening again when the listener fails, as it does without file descriptors. */
const listenAgainMs = 200;

/** What a server is given besides its settings. */
export interface ServerOptions {
  readonly log: Log;
  /** What places and keeps messages; in memory when not given. */
  readonly engine?: Engine;
  /** By which rates are reckoned; the process's own when not given. */
  readonly clock?: Clock;
}

/** A server that runs. */
export interface RunningServer extends AsyncDisposable {
  readonly hostname: string;
  readonly port: number;
  /** Drains and ends it, within the time-out of the settings. Resolves when it is over; again, when called again. */
  shutdown(): Promise<void>;
}

/**
 * Starts a server. Throws what `Deno.serve` throws when the address cannot be listened on, and an error when there is no
 * room for the topics of the settings.
 */
export async function startServer(config: Config, options: ServerOptions): Promise<RunningServer> {
  const { log, engine = new MemoryEngine(config), clock = () => performance.now() } = options;
  const limits = new Limits(limitsOf(config));
  const turn = new Turn((thrown) => log.error("sending failed", describeThrown(thrown)));
  const broker = new Broker(engine, turn, config);
  for (const topic of config.topics) {
    if (await broker.createTopic(topic) === "too_many") {
      throw new Error(limits.exceeded("MAX_TOPICS", `create topic "${topic}"`).message);
    }
  }
  const access = await createAccess(config, log);

  const startedAt = performance.now();
  const admission = new Admission(limits, config, clock);
  const sockets = new Sockets(broker, turn, log, { ...config, limits, admission, clock });
  let ending: Promise<void> | undefined;
  const app = createApp({
    broker,
    sockets,
    log,
    access,
    origins: new Origins(config.allowedOrigins ?? (access ? "same" : "*")),
    limits,
    admission,
    addresses: new ClientAddresses(config),
    maxJsonDepth: config.maxJsonDepth,
    maxMessageBytes: config.maxMessageBytes,
    isDraining: () => ending !== undefined,
    uptimeSeconds: () => Math.floor((performance.now() - startedAt) / 1000),
  });

  let listener = listen(config.port);
  const { hostname, port } = listener.addr;

  function listen(onPort: number): Deno.HttpServer<Deno.NetAddr> {
    const server = Deno.serve({
      hostname: config.host,
      port: onPort,
      onListen: () => {},
      onError: (thrown) => {
        log.error("request failed", describeThrown(thrown));
        return Response.json({ error: { code: "INTERNAL", message: "Cannot answer" } }, {
          status: 500,
        });
      },
    }, (request, origin) => app.fetch(request, origin));
    server.finished.catch((thrown) => listenAgain(onPort, thrown));
    return server;
  }

  /** Out of file descriptors the listener ends, while the connections that it made live on. */
  function listenAgain(onPort: number, thrown: unknown): void {
    if (ending) return;
    log.error("listener failed; listening again", describeThrown(thrown));
    setTimeout(() => {
      try {
        if (!ending) listener = listen(port);
      } catch (again) {
        listenAgain(onPort, again);
      }
    }, listenAgainMs);
  }

  async function end(): Promise<void> {
    const timeoutMs = config.shutdownTimeoutSeconds * 1000;
    const deadlineMs = performance.now() + timeoutMs * 0.9;
    log.info("draining", { connections: sockets.size });
    await sockets.drain(deadlineMs);
    const remainingMs = Math.max(deadlineMs - performance.now(), timeoutMs * 0.05);
    await within(remainingMs, listener.shutdown());
    await engine.close();
    log.info("stopped");
  }

  const shutdown = () => ending ??= end();
  return { hostname, port, shutdown, [Symbol.asyncDispose]: shutdown };
}

/** Waits for something that may never come, but not longer than `ms` milliseconds. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise((resolve) => timer = setTimeout(resolve, ms));
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}
