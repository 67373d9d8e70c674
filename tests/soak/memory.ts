/** How a process's memory goes, without its ups and downs. */

export interface MemorySample {
  readonly seconds: number;
  readonly bytes: number;
}

/** Megabytes a minute, by linear regression; `undefined` for fewer than two samples. */
export function slopeOf(samples: readonly MemorySample[]): number | undefined {
  if (samples.length < 2) return undefined;
  const mean = (value: (sample: MemorySample) => number) =>
    samples.reduce((sum, sample) => sum + value(sample), 0) / samples.length;
  const meanSeconds = mean(({ seconds }) => seconds);
  const meanBytes = mean(({ bytes }) => bytes);
  const covariance = mean(({ seconds, bytes }) => (seconds - meanSeconds) * (bytes - meanBytes));
  const variance = mean(({ seconds }) => (seconds - meanSeconds) ** 2);
  return covariance / variance * 60 / 1e6;
}
