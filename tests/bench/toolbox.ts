/** What contenders need and the project does not: looked for on this machine, or installed into a temporary folder. */

import { Missing } from "./contender.ts";

export class Toolbox implements Disposable {
  /** The Python to look for packages in. */
  readonly python: string;
  #folder: string | undefined;

  constructor(options: { python: string }) {
    this.python = options.python;
  }

  /** A temporary folder, gone when the benchmark ends. */
  async folder(): Promise<string> {
    return this.#folder ??= await Deno.makeTempDir({ prefix: "tidings-bench-" });
  }

  /** Installs an npm package, of which `spec` names the exact version; answers the folder of its modules. */
  async installFromNpm(spec: string): Promise<string> {
    const folder = await this.folder();
    const flags = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
    await this.run("npm", ["install", "--prefix", folder, ...flags, spec]);
    return `${folder}/node_modules`;
  }

  /** Copies a script next to the installed modules, because it is there that a module is looked for. */
  async placeScript(file: URL): Promise<string> {
    const path = `${await this.folder()}/${file.pathname.split("/").at(-1)}`;
    await Deno.copyFile(file, path);
    return path;
  }

  /** Runs a program to its end. Throws {@link Missing} when there is none or it fails. */
  async run(program: string, args: readonly string[]): Promise<void> {
    try {
      const { success, stderr } = await new Deno.Command(program, {
        args: [...args],
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).output();
      if (success) return;
      const reason = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
      throw new Missing(`${program} ${args[0]} failed: ${reason}`);
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound) throw new Missing(`there is no ${program} here`);
      throw thrown;
    }
  }

  [Symbol.dispose](): void {
    if (this.#folder) Deno.removeSync(this.#folder, { recursive: true });
    this.#folder = undefined;
  }
}
