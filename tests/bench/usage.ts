/** What a process uses, as Linux tells it. */

/** Clock ticks in a second: the same on every Linux (`sysconf(_SC_CLK_TCK)`). */
const ticksPerSecond = 100;

/** User and system time of a process so far, in seconds. */
export function cpuSeconds(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name of the program is in parentheses and may contain any character.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1];
  if (kilobytes === undefined) throw new Error(`Cannot read memory of process ${pid}: it is gone`);
  return Number(kilobytes) * 1024;
}
