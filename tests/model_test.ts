/** Random clients against the model of what is promised, and the model against faults that are planted. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { batchSubprotocol } from "../src/protocol.ts";
import { serve } from "./harness.ts";
import { type Action, run, sequences, settings } from "./model_driver.ts";
import { plantedFaults } from "./planted_faults.ts";
import { Valves } from "./valve.ts";

// The argument is that of `deno task model`, whose shell knows no ${MODEL_RUNS:-20000}.
const runs = Number(Deno.env.get("MODEL_RUNS") ?? Deno.args[0] ?? 500);
const seed = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 2 ** 31));

/** How many sequences a planted fault may take to be found. */
const runsForFault = 2_000;

const modes = { "a frame a message": "", "a frame a turn": batchSubprotocol };

for (const [mode, protocol] of Object.entries(modes)) {
  Deno.test(`whatever clients do, they see what is promised: ${mode}`, async () => {
    using valves = new Valves();
    await using server = await serve(settings);
    const result = await check(server, valves, protocol, runs, true);
    assert(!result.failed, result.failed ? describeFailure(result) : undefined);
    assertEquals(result.numRuns, runs);
  });
}

for (const [fault, plant] of Object.entries(plantedFaults)) {
  Deno.test(`the model finds it when ${fault}`, async () => {
    const takeOut = plant();
    try {
      using valves = new Valves();
      await using server = await serve(settings);
      const result = await check(server, valves, "", runsForFault, false);
      assert(result.failed, `SEED=${seed}: not found in ${runsForFault} sequences`);
    } finally {
      takeOut();
    }
  });
}

type Server = Parameters<typeof run>[0];

function check(
  server: Server,
  valves: Valves,
  protocol: string,
  numRuns: number,
  shrink: boolean,
) {
  const property = fc.asyncProperty(sequences, async (actions) => {
    const faults = await run(server, valves, protocol, actions);
    if (faults.length > 0) throw new Error(faults.join("\n"));
  });
  return fc.check(property, { numRuns, seed, endOnFailure: !shrink });
}

function describeFailure(result: fc.RunDetails<[Action[]]>): string {
  const [actions] = result.counterexample ?? [[]];
  return [
    `Promise broken; repeat it with: SEED=${seed} MODEL_RUNS=${result.numRuns} deno task model`,
    "The shortest sequence that breaks it:",
    ...actions.map((action) => `  ${JSON.stringify(action)}`),
    String(result.errorInstance),
  ].join("\n");
}
