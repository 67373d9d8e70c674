/** The command line. */

import project from "../deno.json" with { type: "json" };
import { type Config, helpText, limitsOf, readInvocation } from "./config.ts";
import { createLog, describeThrown, type Log } from "./log.ts";
import { type RunningServer, startServer } from "./server.ts";
import { runTokenCommand } from "./token_command.ts";
import { algorithmsFor, keysOf } from "./token_keys.ts";

const environment = (variable: string) => Deno.env.get(variable);

if (Deno.args[0] === "token") await makeToken(Deno.args.slice(1));

const invocation = readInvocation(Deno.args, environment);

switch (invocation.kind) {
  case "help":
    console.log(helpText());
    break;
  case "version":
    console.log(`tidings ${project.version}`);
    break;
  case "health":
    Deno.exit(await isHealthy(invocation.config) ? 0 : 1);
    break;
  case "faulty":
    refuse(invocation.faults);
    break;
  case "serve":
    await serve(invocation.config);
    break;
  default:
    invocation satisfies never;
}

async function makeToken(args: readonly string[]): Promise<never> {
  const result = await runTokenCommand(args, environment);
  if ("faults" in result) refuse(result.faults);
  console.log(result.output);
  Deno.exit(0);
}

function refuse(faults: readonly string[]): never {
  for (const fault of faults) console.error(`tidings: ${fault}`);
  Deno.exit(2);
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
  log.info("limits", limitsOf(config));
  tellAccess(config, log);
  if (isTerminal) console.error(invitation(server, config));
}

/** Says who may do what, and warns when that is everybody on the network. */
function tellAccess(config: Config, log: Log): void {
  const keys = keysOf(config);
  if (keys.length > 0) {
    const algorithms = algorithmsFor(config).join(",");
    return log.info("access is on", { keys: keys.join(","), algorithms });
  }
  const { host } = config;
  if (isLoopback(host)) return log.info("access is off", { host });
  const help = "set JWT_SECRET, JWT_PUBLIC_KEY or JWKS_URL, or listen on 127.0.0.1 with --host";
  log.warn("access is off: whoever reaches the port may do everything", { host, help });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/**
 * Asks the server that runs here with the same settings, and prints its answer. Without `fetch`: in a container that
 * one may ask the proxy of the environment instead.
 */
async function isHealthy({ host, port }: Config): Promise<boolean> {
  const hostname = { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
  try {
    using connection = await Deno.connect({ hostname, port });
    const request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    await connection.write(new TextEncoder().encode(request));
    const answer = await new Response(connection.readable).text();
    console.log(answer.slice(answer.indexOf("\r\n\r\n") + 4));
    return answer.startsWith("HTTP/1.1 200 ");
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    console.error(`tidings: Cannot reach ${hostname}:${port}: ${reason}`);
    return false;
  }
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

function invitation({ hostname, port }: RunningServer, config: Config): string {
  const isEverywhere = hostname === "0.0.0.0" || hostname === "::";
  const access = keysOf(config).length > 0 ? "access by token" : "access control off";
  return `
tidings listens on http://${isEverywhere ? "localhost" : hostname}:${port}, with ${access}.
Try: curl http://localhost:${port}/
`;
}
