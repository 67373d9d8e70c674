/** HTTP by hand: the bytes of a request over TCP, and what comes back. */

/** Sends bytes over TCP and reads one response. */
export async function askByHand(
  port: number,
  sent: string | Uint8Array,
  { closesAfter = false }: { closesAfter?: boolean } = {},
) {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const bytes = typeof sent === "string" ? encode(sent) : sent;
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
  if (closesAfter) await connection.closeWrite();

  const decoder = new TextDecoder();
  const buffer = new Uint8Array(16_384);
  let received = "";
  for (;;) {
    const end = received.indexOf("\r\n\r\n");
    if (end >= 0) {
      const [statusLine, ...lines] = received.slice(0, end).split("\r\n");
      const headers = new Headers(lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }));
      const status = Number(statusLine!.split(" ")[1]);
      const body = received.slice(end + 4);
      const hasBody = status !== 101 && status !== 204 && !/^HEAD /.test(decoder.decode(bytes));
      const length = hasBody ? Number(headers.get("content-length") ?? 0) : 0;
      if (encode(body).length >= length) return { status, headers, body };
    }
    const count = await connection.read(buffer);
    if (count === null) throw new Error(`connection ended after ${JSON.stringify(received)}`);
    received += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
