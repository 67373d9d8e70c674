/**
 * `deploy/nginx.conf` at work: nginx as a process of its own, with the repository's very file but for its ports, its
 * paths, the certificate, and what a test shortens.
 */

import { findProgram, root } from "./programs.ts";

/** Debian puts nginx where only root's PATH leads. */
export const nginx = findProgram("nginx", ["/usr/sbin"]);

/** The name that the certificate is for. */
const serverName = "localhost";

export class Front implements AsyncDisposable {
  readonly port: number;
  /** Its certificate, as PEM. */
  readonly certificate: string;
  readonly #folder: string;
  readonly #process: Deno.ChildProcess;
  readonly #complaints: Promise<string>;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.certificate = Deno.readTextFileSync(`${folder}/certificate.pem`);
    this.#folder = folder;
    this.#process = new Deno.Command(nginx!, {
      args: ["-p", folder, "-c", `${folder}/nginx.conf`, "-e", "stderr", "-g", "daemon off;"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#complaints = new Response(this.#process.stderr).text();
  }

  /**
   * Starts it in front of a server, and waits until it listens. `changes` are texts of the file and what to put in
   * their place.
   */
  static async start(
    upstream: { port: number },
    changes: Readonly<Record<string, string>> = {},
  ): Promise<Front> {
    const folder = await Deno.makeTempDir();
    await makeCertificate(folder);
    const port = freePort();
    const file = await Deno.readTextFile(new URL("deploy/nginx.conf", root));
    const texts = { ...surroundings(folder, port, upstream.port), ...changes };
    await Deno.writeTextFile(`${folder}/nginx.conf`, changed(file, texts));
    const front = new Front(port, folder);
    try {
      await front.#listens();
      return front;
    } catch (thrown) {
      await front[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  get url(): string {
    return `https://${serverName}:${this.port}`;
  }

  /** Opens a connection, and asks for a name. */
  async connect(name = serverName): Promise<Deno.TlsConn> {
    const connection = await this.connectWithoutTls();
    const secured = await Deno.startTls(connection, {
      hostname: name,
      caCerts: [this.certificate],
    });
    try {
      await secured.handshake();
      return secured;
    } catch (thrown) {
      secured.close();
      throw thrown;
    }
  }

  /** Opens a connection, and leaves the TLS handshake to the caller. */
  async connectWithoutTls(): Promise<Deno.TcpConn> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    connection.setNoDelay(true);
    return connection;
  }

  /** The lines of its access log, as text. */
  async accesses(): Promise<string[]> {
    const text = await Deno.readTextFile(`${this.#folder}/tidings.log`);
    return text.split("\n").filter((line) => line !== "");
  }

  /** Ends it, and answers all that it ever wrote: its logs, and what it complained about. */
  async stop(): Promise<string> {
    await this.#end();
    const logs = Array.from(Deno.readDirSync(this.#folder), ({ name }) => name)
      .filter((name) => name.endsWith(".log"))
      .map((name) => Deno.readTextFileSync(`${this.#folder}/${name}`));
    return [...logs, await this.#complaints].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #end(): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    await this.#process.status;
    await this.#complaints;
  }

  async #listens(): Promise<void> {
    let ended = false;
    void this.#process.status.then(() => ended = true);
    while (!ended) {
      try {
        (await this.connectWithoutTls()).close();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    throw new Error(`Cannot start nginx: ${await this.#complaints}`);
  }
}

/** What is another on the machine of a test. */
function surroundings(folder: string, port: number, upstreamPort: number): Record<string, string> {
  const certificates = "/etc/letsencrypt/live/tidings.example.com";
  return {
    [`${certificates}/fullchain.pem`]: `${folder}/certificate.pem`,
    [`${certificates}/privkey.pem`]: `${folder}/key.pem`,
    "server_name tidings.example.com": `server_name ${serverName}`,
    "listen 443": `listen 127.0.0.1:${port}`,
    // Not every machine has IPv6.
    "listen [::]:443": `listen 127.0.0.2:${port}`,
    "server 127.0.0.1:8000": `server 127.0.0.1:${upstreamPort}`,
    "/run/nginx.pid": `${folder}/nginx.pid`,
    "/var/log/nginx": folder,
    // Only root may write where Debian's nginx does.
    "http {": [
      "http {",
      ...["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((what) => `${what}_temp_path ${folder}/${what};`),
    ].join("\n"),
  };
}

/** A text with others in place of some, whole words only; each must be there, so that none is changed in vain. */
function changed(file: string, texts: Readonly<Record<string, string>>): string {
  return Object.entries(texts).reduce((text, [from, to]) => {
    const parts = text.split(new RegExp(`(?<!\\w)${RegExp.escape(from)}(?!\\w)`));
    if (parts.length === 1) throw new Error(`Cannot change "${from}": the file has none`);
    return parts.join(to);
  }, file);
}

async function makeCertificate(folder: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [
      ..."req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 1".split(" "),
      ...["-keyout", `${folder}/key.pem`, "-out", `${folder}/certificate.pem`],
      ...["-subj", `/CN=${serverName}`, "-addext", `subjectAltName=DNS:${serverName}`],
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ],
  }).output();
  if (!success) throw new Error(`Cannot make certificate: ${new TextDecoder().decode(stderr)}`);
}

/** A port that nobody listens on now: nginx cannot choose one by itself. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
