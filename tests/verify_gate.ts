/** Holds what verifies signatures in this process until it is opened, and counts it. */
export class VerifyGate implements Disposable {
  readonly #verify = crypto.subtle.verify;
  readonly #opened = Promise.withResolvers<void>();
  /** How many came. */
  begun = 0;
  /** How many of them are over. A closed connection tells nobody that its own is. */
  ended = 0;

  constructor() {
    crypto.subtle.verify = async (...args) => {
      this.begun++;
      await this.#opened.promise;
      try {
        return await this.#verify.apply(crypto.subtle, args);
      } finally {
        this.ended++;
      }
    };
  }

  open(): void {
    this.#opened.resolve();
  }

  [Symbol.dispose](): void {
    this.open();
    crypto.subtle.verify = this.#verify;
  }
}
