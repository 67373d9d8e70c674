/**
 * The newest items of a numbered sequence, reached by their numbers. Holds at most `capacity`; one more pushes the
 * oldest out. Every operation is O(1) (amortized while it grows), and an empty ring costs nothing.
 */
export class Ring<T> {
  readonly capacity: number;
  #items: (T | undefined)[] = [];
  #first: number;
  #next: number;

  /** `next` is the number that the first item pushed will have. */
  constructor(capacity: number, next: number) {
    this.capacity = capacity;
    this.#first = next;
    this.#next = next;
  }

  /** Number of the oldest item held; of the next one to come while there is none. */
  get first(): number {
    return this.#first;
  }

  get size(): number {
    return this.#next - this.#first;
  }

  push(item: T): void {
    if (this.capacity === 0) {
      this.restart(this.#next + 1);
      return;
    }
    if (this.size === this.capacity) this.shift();
    if (this.size === this.#items.length) this.#grow();
    this.#items[this.#next++ % this.#items.length] = item;
  }

  /** The item of a number that is held. */
  at(number: number): T {
    return this.#items[number % this.#items.length]!;
  }

  /** The items numbered `from` and later that are held, oldest first, `limit` of them at the most. */
  since(from: number, limit = Infinity): T[] {
    const items: T[] = [];
    const start = Math.max(from, this.#first);
    const end = Math.min(this.#next, start + limit);
    for (let number = start; number < end; number++) items.push(this.at(number));
    return items;
  }

  /** Takes the oldest item out. There must be one. */
  shift(): T {
    const index = this.#first++ % this.#items.length;
    const item = this.#items[index]!;
    this.#items[index] = undefined;
    return item;
  }

  /** Forgets all items; the next one pushed has the number `next`. */
  restart(next: number): void {
    this.#items = [];
    this.#first = next;
    this.#next = next;
  }

  #grow(): void {
    const items = this.since(this.#first);
    this.#items = new Array(Math.min(this.capacity, Math.max(4, items.length * 2)));
    for (const [index, item] of items.entries()) {
      this.#items[(this.#first + index) % this.#items.length] = item;
    }
  }
}
