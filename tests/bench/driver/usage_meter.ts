/** The resources that a server and the driver use while something is measured. */

import { cpuSeconds } from "../usage.ts";

export interface Usage {
  readonly seconds: number;
  readonly serverCpuSeconds: number;
  readonly driverCpuSeconds: number;
}

/** Starts to measure; the function that it answers tells what was used since. */
export function measureUsage(serverPid: number): () => Usage {
  const server = cpuSeconds(serverPid);
  const driver = cpuSeconds(Deno.pid);
  const startedAt = performance.now();
  return () => ({
    seconds: (performance.now() - startedAt) / 1000,
    serverCpuSeconds: cpuSeconds(serverPid) - server,
    driverCpuSeconds: cpuSeconds(Deno.pid) - driver,
  });
}
