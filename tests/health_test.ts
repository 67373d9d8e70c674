/** `--health`: what a container asks, without a shell or curl. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { tidings } from "./programs.ts";
import { ServerProcess } from "./server_process.ts";

Deno.test("--health ends with 0 where a server answers", async () => {
  await using server = await ServerProcess.start();
  const { code, stdout } = await tidings(["--health", "--port", String(server.port)]).output();

  assertEquals(JSON.parse(new TextDecoder().decode(stdout)).status, "ok");
  assertEquals(code, 0);
  assertEquals(await server.stop(), 0);
});

Deno.test("--health ends with 1 and says why where none answers", async () => {
  const { code, stderr } = await tidings(["--health", "--host", "127.0.0.1", "--port", "1"])
    .output();

  assertStringIncludes(new TextDecoder().decode(stderr), "Cannot reach 127.0.0.1:1: ");
  assertEquals(code, 1);
});
