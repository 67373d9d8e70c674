/** One connection: what is sent, and all that comes back until it ends. */

import { concat } from "../frames.ts";

/** Nothing may take longer. */
export const patienceMs = 5_000;
/** After so long without a byte of answer, the server is told that nothing more comes. */
const quietMs = 20;

export interface Exchanged {
  readonly received: Uint8Array;
  /** Whether the server neither answered to the end nor closed in time. */
  readonly hung: boolean;
}

/**
 * Sends bytes, closes its side when nothing comes for a moment, or when the text `last` has come where one is given, and
 * reads to the end.
 */
export async function exchange(
  port: number,
  bytes: Uint8Array<ArrayBuffer>,
  last?: string,
): Promise<Exchanged> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  const parts: Uint8Array[] = [];
  let hung = false;
  let isClosed = false;
  const close = () => {
    if (!isClosed) connection.close();
    isClosed = true;
  };
  const halfClose = () => {
    if (!isClosed) connection.closeWrite().catch(() => {});
  };
  let quiet = last === undefined ? setTimeout(halfClose, quietMs) : undefined;
  const patience = setTimeout(() => {
    hung = true;
    close();
  }, patienceMs);
  try {
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
    const buffer = new Uint8Array(65_536);
    for (let count; (count = await connection.read(buffer)) !== null;) {
      parts.push(buffer.slice(0, count));
      if (last === undefined) {
        clearTimeout(quiet);
        quiet = setTimeout(halfClose, quietMs);
      } else if (new TextDecoder().decode(concat(parts.slice(-2))).includes(last)) {
        halfClose();
      }
    }
  } catch {
    // Reset: the server had enough, with bytes of ours unread.
  }
  clearTimeout(quiet);
  clearTimeout(patience);
  close();
  return { received: parts.length === 1 ? parts[0]! : concat(parts), hung };
}
