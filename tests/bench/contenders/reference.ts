/** The Python original, rebuilt from its README: FastAPI, a queue and a task for every subscriber. */

import { type Contender, portInJson } from "../contender.ts";

const script = new URL("reference_server.py", import.meta.url).pathname;

export const reference: Contender = {
  name: "reference",
  title: "Python reference, rebuilt",
  dialect: "tidings",
  async prepare(tools) {
    await tools.run(tools.python, ["-c", "import fastapi, uvicorn, websockets"]);
    return { program: tools.python, args: [script], port: portInJson };
  },
};
