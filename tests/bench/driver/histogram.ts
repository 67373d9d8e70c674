/** Latencies, kept to three per cent: a driver that counts millions of them cannot keep each. */

const buckets = 1024;
/** Each bucket is this much wider than the one before. */
const growth = 1.03;
const leastMs = 0.001;
const scale = 1 / Math.log(growth);

export interface LatencySummary {
  readonly count: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class Histogram {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;
  #maxMs = 0;

  add(ms: number): void {
    const bucket = ms <= leastMs ? 0 : Math.ceil(Math.log(ms / leastMs) * scale);
    this.#counts[Math.min(bucket, buckets - 1)]!++;
    this.#count++;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      p50Ms: this.#percentile(0.5),
      p95Ms: this.#percentile(0.95),
      p99Ms: this.#percentile(0.99),
      maxMs: this.#maxMs,
    };
  }

  #percentile(share: number): number {
    let left = this.#count * share;
    for (let bucket = 0; bucket < buckets; bucket++) {
      left -= this.#counts[bucket]!;
      if (left <= 0) return leastMs * growth ** bucket;
    }
    return this.#maxMs;
  }
}
