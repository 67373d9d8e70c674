/** The command line. */

import project from "../deno.json" with { type: "json" };
import { type Config, helpText, readInvocation } from "./config.ts";
import { createLog, describeThrown, type Log } from "./log.ts";
import { type RunningServer, startServer } from "./server.ts";

const invocation = readInvocation(Deno.args, (variable) => Deno.env.get(variable));

switch (invocation.kind) {
  case "help":
    console.log(helpText());
    break;
  case "version":
    console.log(`tidings ${project.version}`);
    break;
  case "faulty":
    for (const fault of invocation.faults) console.error(`tidings: ${fault}`);
    Deno.exit(2);
    break;
  case "serve":
    await serve(invocation.config);
    break;
  default:
    invocation satisfies never;
}

async function serve(config: Config): Promise<void> {
  const isTerminal = Deno.stderr.isTerminal();
  const format = config.logFormat === "auto" ? (isTerminal ? "text" : "json") : config.logFormat;
  const log = createLog({ level: config.logLevel, format, write: (line) => console.error(line) });

  // Nothing should get here; what does must cost one line in the log, not everybody's connection.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("unhandled rejection", describeThrown(event.reason));
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    log.error("uncaught error", describeThrown(event.error));
  });

  let server: RunningServer;
  try {
    server = await startServer(config, { log });
  } catch (thrown) {
    console.error(`tidings: ${whyNotListening(config, thrown)}`);
    Deno.exit(1);
  }
  endOnSignal(server, log);
  log.info("listening", { host: server.hostname, port: server.port });
  if (isTerminal) console.error(invitation(server));
}

/** The first signal drains, a second one ends at once. */
function endOnSignal(server: RunningServer, log: Log): void {
  let signals = 0;
  const numbers = { SIGINT: 2, SIGTERM: 15 } as const;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, async () => {
      if (signals++ > 0) Deno.exit(128 + numbers[signal]);
      log.info("signal received", { signal });
      await server.shutdown();
      Deno.exit(0);
    });
  }
}

function whyNotListening(config: Config, thrown: unknown): string {
  const where = `Cannot listen on ${config.host}:${config.port}`;
  if (thrown instanceof Deno.errors.AddrInUse) {
    return `${where}: the port is in use; try another one with --port`;
  }
  return `${where}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
}

function invitation({ hostname, port }: RunningServer): string {
  const isOpen = hostname === "0.0.0.0" || hostname === "::";
  const open = isOpen ? " It is open to the network; --host 127.0.0.1 keeps it here." : "";
  return `
tidings listens on http://${isOpen ? "localhost" : hostname}:${port}, without access control.${open}
Try: curl http://localhost:${port}/
`;
}
