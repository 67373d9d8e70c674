/**
 * The system calls of the driver. One thread that waits in `epoll_wait` and reads many sockets into one buffer costs
 * little beside any server, which the runtime's own sockets, with a promise and a buffer for every read, would not.
 */

const { symbols } = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  usleep: { parameters: ["u32"], result: "i32" },
});

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EPOLLIN = 1;
const EPOLL_CTL_ADD = 1;

/** The kernel packs `struct epoll_event` on this architecture alone. */
const isPacked = Deno.build.arch === "x86_64";
const eventBytes = isPacked ? 12 : 16;
const dataOffset = isPacked ? 4 : 8;
const maxEvents = 1024;

/** How many bytes one read takes at most. */
export const readBufferBytes = 256 * 1024;

/**
 * Connects a TCP socket to a port of this machine; without Nagle's delay. With `isNarrow` the kernel keeps little for it
 * on either side, so that who does not read is soon known for it.
 */
export function connectTcp(port: number, { isNarrow = false } = {}): number {
  const descriptor = symbols.socket(2, /* AF_INET */ 1, /* SOCK_STREAM */ 0);
  if (descriptor < 0) throw new Error("Cannot connect: out of file descriptors");
  symbols.setsockopt(descriptor, 6, /* TCP_NODELAY */ 1, new Uint8Array([1, 0, 0, 0]), 4);
  if (isNarrow) {
    symbols.setsockopt(descriptor, 6, /* TCP_MAXSEG */ 2, int(536), 4);
    symbols.setsockopt(descriptor, 1, /* SOL_SOCKET */ /* SO_RCVBUF */ 8, int(4096), 4);
  }
  const address = new Uint8Array(16);
  address.set([2, 0, port >> 8, port & 255, 127, 0, 0, 1]);
  if (symbols.connect(descriptor, address, 16) !== 0) {
    throw new Error(`Cannot connect to port ${port}: refused`);
  }
  return descriptor;
}

function int(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** Sends what the kernel takes without waiting; answers how many bytes that was. */
export function send(descriptor: number, bytes: Uint8Array<ArrayBuffer>): number {
  const sent = symbols.send(
    descriptor,
    bytes,
    BigInt(bytes.length),
    MSG_DONTWAIT | MSG_NOSIGNAL,
  );
  return Math.max(0, Number(sent));
}

/** Reads what is there; 0 when the connection has ended or nothing is there. */
export function receive(descriptor: number, buffer: Uint8Array<ArrayBuffer>): number {
  return Math.max(
    0,
    Number(symbols.recv(descriptor, buffer, BigInt(buffer.length), MSG_DONTWAIT)),
  );
}

/** Ends a connection. */
export function close(descriptor: number): void {
  symbols.close(descriptor);
}

export function sleepMicroseconds(microseconds: number): void {
  symbols.usleep(microseconds);
}

/** Waits for sockets that have something to read. */
export class Poll {
  readonly #descriptor = symbols.epoll_create1(0);
  readonly #events = new Uint8Array(eventBytes * maxEvents);
  readonly #view = new DataView(this.#events.buffer);

  /** `token` is what {@link wait} says of the socket. */
  add(descriptor: number, token: number): void {
    const event = new DataView(new ArrayBuffer(eventBytes));
    event.setUint32(0, EPOLLIN, true);
    event.setUint32(dataOffset, token, true);
    const bytes = new Uint8Array(event.buffer);
    if (symbols.epoll_ctl(this.#descriptor, EPOLL_CTL_ADD, descriptor, bytes) !== 0) {
      throw new Error("Cannot poll socket");
    }
  }

  /** Waits for at most `milliseconds`; answers how many sockets are ready. */
  wait(milliseconds: number): number {
    return Math.max(
      0,
      symbols.epoll_wait(this.#descriptor, this.#events, maxEvents, milliseconds),
    );
  }

  /** The token of the `index`th ready socket. */
  ready(index: number): number {
    return this.#view.getUint32(index * eventBytes + dataOffset, true);
  }
}
