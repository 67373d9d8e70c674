/**
 * Counts messages in a stream of bytes without reading frames: every payload begins with a marker that nothing else on
 * the wire can contain. It is longer than the two bytes of a frame's length that could look like it.
 */

/** The first bytes of every payload. Not among the characters that JSON escapes. */
export const marker = "^~^";

const CARET = 0x5e;
const TILDE = 0x7e;

/** By how much the distance between two messages may shrink, as where one frame goes on and the next begins. */
const framing = 32;

export class MarkerCounter {
  readonly #buffer: Uint8Array;
  /** How much of a marker stood at the end of each connection's last read. */
  readonly #begun: Uint8Array;
  /** The distance at which the next marker is looked for first: messages of one run are of one size. */
  #stride = 1;
  #shortest = 0;

  /** `buffer` is what all `connections` are read into; a read leaves its last byte free. */
  constructor(buffer: Uint8Array, connections: number) {
    this.#buffer = buffer;
    this.#begun = new Uint8Array(connections);
  }

  /** How many markers end in the first `length` bytes of the buffer, as the stream of `connection` goes on. */
  count(connection: number, length: number): number {
    const buffer = this.#buffer;
    // Ends every search: what an earlier, longer read has left behind is not looked at.
    buffer[length] = CARET;
    let found = 0;
    const begun = this.#begun[connection]!;
    if (begun > 0 && this.#goesOn(begun, length)) found++;

    let last = -1;
    let at = this.#next(0, length);
    while (at >= 0) {
      found++;
      if (last >= 0) {
        this.#stride = at - last;
        if (this.#shortest === 0 || this.#stride < this.#shortest) this.#shortest = this.#stride;
      }
      last = at;
      const guess = at + this.#stride;
      if (
        guess + 2 < length && buffer[guess] === CARET && buffer[guess + 1] === TILDE &&
        buffer[guess + 2] === CARET
      ) at = guess;
      else if (length - at < this.#shortest - framing) at = -1;
      else at = this.#next(at + marker.length, length);
    }

    this.#begun[connection] = this.#begunAtEnd(length, begun, last);
    return found;
  }

  /** How much of a marker stands at the end, when the last whole one begins at `last`. */
  #begunAtEnd(length: number, begun: number, last: number): number {
    const buffer = this.#buffer;
    const isCounted = last >= 0 && last + marker.length === length;
    if (buffer[length - 1] === CARET) return isCounted ? 0 : 1;
    if (buffer[length - 1] !== TILDE) return 0;
    return (length > 1 ? buffer[length - 2] === CARET : begun === 1) ? 2 : 0;
  }

  /** Whether a marker of which `begun` bytes were at the end of the last read ends in this one. */
  #goesOn(begun: number, length: number): boolean {
    const rest = begun === 1 ? [TILDE, CARET] : [CARET];
    return length >= rest.length && rest.every((byte, index) => this.#buffer[index] === byte);
  }

  #next(from: number, length: number): number {
    const buffer = this.#buffer;
    for (let at = buffer.indexOf(CARET, from); at >= 0; at = buffer.indexOf(CARET, at + 1)) {
      if (at + 2 >= length) return -1;
      if (buffer[at + 1] === TILDE && buffer[at + 2] === CARET) return at;
    }
    return -1;
  }
}
