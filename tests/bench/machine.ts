/** The machine that was measured on, as Linux tells it. */

export function describeMachine(): string {
  const model = /^model name\s*: (.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  const gigabytes = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const parts = [
    `${model ?? Deno.build.arch}, ${navigator.hardwareConcurrency} cores`,
    `${gigabytes} GB`,
    `Linux ${Deno.osRelease()}`,
    `Deno ${Deno.version.deno}`,
  ];
  return parts.join(" · ");
}

/** How many files a process may have open. */
export function openFileLimit(): number {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
}
