/** HTTP requests over kept-alive connections, one at a time on each. */

import { Connections } from "./connections.ts";

const patienceMs = 10_000;

/** The server has no such route. */
export class NoSuchRoute extends Error {}

export function postRequest(path: string, body: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(body);
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${bytes.length}\r\n\r\n`;
  return new TextEncoder().encode(head + body);
}

export class HttpClients {
  answered = 0;
  readonly #connections: Connections;
  readonly #nextRequest: () => Uint8Array<ArrayBuffer> | undefined;
  readonly #idle: number[] = [];
  /** What has come of an answer that is not complete. */
  readonly #parts: string[];

  /** `nextRequest` makes the next request to send on any connection; `undefined` when there is none for now. */
  constructor(port: number, count: number, nextRequest: () => Uint8Array<ArrayBuffer> | undefined) {
    this.#connections = new Connections(port);
    this.#connections.openTcp(count);
    this.#nextRequest = nextRequest;
    this.#parts = new Array(count).fill("");
    for (let connection = 0; connection < count; connection++) this.#idle.push(connection);
  }

  /** Sends and takes answers as long as `isDone` says no. */
  runUntil(isDone: () => boolean): void {
    let movedAt = performance.now();
    while (!isDone()) {
      this.#send();
      const count = this.#connections.read(
        50,
        (connection, length) => this.#take(connection, length),
      );
      const now = performance.now();
      if (count > 0) movedAt = now;
      else if (now - movedAt > patienceMs) throw new Error("Gave up waiting for answers");
    }
  }

  #send(): void {
    while (this.#idle.length > 0) {
      const request = this.#nextRequest();
      if (!request) return;
      if (this.#connections.send(this.#idle.pop()!, request) !== request.length) {
        throw new Error("Cannot send: the server does not read");
      }
    }
  }

  #take(connection: number, length: number): void {
    const answer = this.#parts[connection]! + this.#connections.text(length);
    const headEnd = answer.indexOf("\r\n\r\n");
    const bodyBytes = /\r\ncontent-length: *(\d+)/i.exec(answer)?.[1];
    if (headEnd < 0 || answer.length < headEnd + 4 + Number(bodyBytes)) {
      this.#parts[connection] = answer;
      return;
    }
    const status = answer.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length);
    if (status === "404" || status === "405") throw new NoSuchRoute();
    if (!status.startsWith("2")) throw new Error(`The server refused: ${answer.slice(0, 300)}`);
    this.#parts[connection] = "";
    this.#idle.push(connection);
    this.answered++;
  }
}
