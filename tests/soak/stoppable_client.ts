/** A client as a process of its own, so that it can be stopped: passes lines on to the server, and what comes back. */

import { linesOf } from "../programs.ts";
import { NarrowLink } from "./narrow_link.ts";

const encoder = new TextEncoder();

function print(line: string): void {
  const bytes = encoder.encode(`${line}\n`);
  for (let written = 0; written < bytes.length;) {
    written += Deno.stdout.writeSync(bytes.subarray(written));
  }
}

try {
  const link = await NarrowLink.open(Number(Deno.args[0]), print);
  print("open");
  void link.closed.then((code) => {
    print(`closed ${code}`);
    Deno.exit(0);
  });
  for await (const line of linesOf(Deno.stdin.readable)) link.send(line);
} catch {
  // The server refused, or is not there: the end of this process says so.
}
Deno.exit(0);
