/** What the driver is asked to do. One job is one process, so that no job inherits another's sockets. */

import type { DialectName } from "../wire.ts";
import type { CountResult } from "./acked_publish.ts";
import type { FanOutResult } from "./fan_out.ts";
import type { GrowthPoint } from "./growth.ts";

interface Job {
  /** Port of the server, on this machine. */
  readonly port: number;
  /** Process of the server, whose resources are measured. */
  readonly pid: number;
}

interface TimedJob extends Job {
  /** How long to go before the measurement begins. */
  readonly warmSeconds: number;
  readonly seconds: number;
}

export interface AudienceJob extends TimedJob {
  readonly dialect: DialectName;
  readonly subscribers: number;
  readonly payloadBytes: number;
  readonly recordLatency: boolean;
}

export interface FanOutJob extends AudienceJob {
  readonly kind: "fan-out";
  /** How many messages may be published that have not reached every subscriber. */
  readonly window: number;
}

export interface FixedRateJob extends AudienceJob {
  readonly kind: "fixed-rate";
  readonly messagesPerSecond: number;
}

export interface AckedPublishJob extends TimedJob {
  readonly kind: "acked-publish";
  readonly dialect: "tidings" | "tidings-batch";
  readonly connections: number;
  /** How many publishes each connection may have that are not acked. */
  readonly window: number;
  /** 1, or how many commands are sent as one JSON array. */
  readonly commandsPerFrame: number;
  readonly topics: readonly string[];
  readonly payloadBytes: number;
}

export interface HttpPublishJob extends TimedJob {
  readonly kind: "http-publish";
  readonly connections: number;
  readonly path: string;
  readonly payloadBytes: number;
}

export interface ConnectJob extends Job {
  readonly kind: "connect";
  readonly dialect: DialectName;
  /** How many connections there are at each point that is measured, ascending. */
  readonly counts: readonly number[];
  /** How long the server is left alone before its memory is read. */
  readonly settleSeconds: number;
}

export interface MakeTopicsJob extends Job {
  readonly kind: "make-topics";
  /** What the names begin with, before a number from 0 on. */
  readonly prefix: string;
  /** How many topics there are at each point that is measured, ascending. */
  readonly counts: readonly number[];
}

export type DriverJob =
  | FanOutJob
  | FixedRateJob
  | AckedPublishJob
  | HttpPublishJob
  | ConnectJob
  | MakeTopicsJob;

export interface ResultOf {
  readonly "fan-out": FanOutResult;
  readonly "fixed-rate": FanOutResult;
  readonly "acked-publish": CountResult;
  readonly "http-publish": CountResult;
  readonly connect: readonly GrowthPoint[];
  readonly "make-topics": readonly GrowthPoint[];
}

/** What came of a job: what cannot be measured is said, never guessed. */
export type Outcome<Result> =
  | { readonly result: Result }
  | { readonly skipped: string }
  | { readonly failed: string };
