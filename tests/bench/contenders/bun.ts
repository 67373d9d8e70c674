/** Bun's native publish: topics, fan-out and corking in C++. */

import { type Contender, Missing, portInJson } from "../contender.ts";

const version = "1.4.5";

export const bun: Contender = {
  name: "bun",
  title: `Bun ${version}`,
  dialect: "relay",
  async prepare(tools) {
    const modules = await tools.installFromNpm(`bun@${version}`);
    const script = new URL("bun_server.mjs", import.meta.url).pathname;
    return { program: await findBinary(modules), args: [script], port: portInJson };
  },
};

/** The package's install script moves the binary; where npm does not run it, the binary stays in its own package. */
async function findBinary(modules: string): Promise<string> {
  const candidates = [`${modules}/bun/bin/bun.exe`];
  for await (const { name } of Deno.readDir(`${modules}/@oven`)) {
    candidates.push(`${modules}/@oven/${name}/bin/bun`);
  }
  for (const candidate of candidates) {
    const output = await new Deno.Command(candidate, { args: ["--version"], stderr: "null" })
      .output().catch(() => undefined);
    if (output && new TextDecoder().decode(output.stdout).trim() === version) return candidate;
  }
  throw new Missing("no binary of Bun that runs here came with the npm package");
}
