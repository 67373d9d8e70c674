/** All that can compete, in the order in which the tables show it. */

import type { Contender } from "./contender.ts";
import { bareAck, bareLoop, bareLoopTurn } from "./contenders/bare_loop.ts";
import { bun } from "./contenders/bun.ts";
import { honoRoute } from "./contenders/hono_route.ts";
import { nats } from "./contenders/nats.ts";
import { nodeWs } from "./contenders/node_ws.ts";
import { reference } from "./contenders/reference.ts";
import { socketIo } from "./contenders/socket_io.ts";
import { tidings, tidingsBatch } from "./contenders/tidings.ts";

export const contenders: readonly Contender[] = [
  tidings,
  tidingsBatch,
  bareLoop,
  bareLoopTurn,
  bareAck,
  bun,
  nats,
  nodeWs,
  socketIo,
  reference,
  honoRoute,
];
