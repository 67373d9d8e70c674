/** What a fuzzer found, with the input that repeats it. */

/** How many are kept: the first tell enough. */
const maxKept = 20;

export class Findings {
  readonly kept: string[] = [];
  count = 0;
  /** What was answered, and how often: a fuzzer that is refused at the door finds nothing. */
  readonly answers = new Map<string, number>();

  answered(what: string): void {
    this.answers.set(what, (this.answers.get(what) ?? 0) + 1);
  }

  add(what: string, input?: Uint8Array): void {
    this.count++;
    if (this.kept.length >= maxKept) return;
    const shown = input &&
      JSON.stringify(new TextDecoder("latin1").decode(input.subarray(0, 2_000)));
    this.kept.push(input ? `${what}\n  input, in latin1: ${shown}` : what);
  }
}
