import { MemoryEngine } from "../src/engine_memory.ts";
import { testEngine } from "./engine_conformance.ts";

testEngine("MemoryEngine", (maxHistory) => new MemoryEngine({ maxHistory }));
