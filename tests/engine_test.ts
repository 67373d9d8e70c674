import { defaultConfig } from "../src/config.ts";
import { MemoryEngine } from "../src/engine_memory.ts";
import { testEngine } from "./engine_conformance.ts";

testEngine("MemoryEngine", (bounds) => new MemoryEngine(defaultConfig(bounds)));
