/**
 * Types for the parts of Deno's standard library that are used here. The npm copy ships none, and an import without
 * types would silently be `any`.
 */

declare module "@std/assert" {
  type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

  export function assert(value: unknown, message?: string): asserts value;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertLess<T>(actual: T, high: T, message?: string): void;
  export function assertMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertRejects<E extends Error = Error>(
    action: () => PromiseLike<unknown>,
    errorClass?: ErrorClass<E>,
    messageIncludes?: string,
  ): Promise<E>;
  export function assertStringIncludes(actual: string, expected: string, message?: string): void;
  export function fail(message?: string): never;
}

declare module "@std/cli/parse-args" {
  export interface ParseOptions {
    boolean?: readonly string[];
    string?: readonly string[];
    collect?: readonly string[];
    alias?: Readonly<Record<string, string>>;
    unknown?: (argument: string, key?: string, value?: unknown) => boolean;
  }
  export function parseArgs(
    args: readonly string[],
    options?: ParseOptions,
  ): Record<string, unknown> & { _: (string | number)[] };
}

declare module "@std/data-structures/deque" {
  export class Deque<T> implements Iterable<T> {
    constructor(source?: Iterable<T>);
    readonly length: number;
    pushBack(...values: T[]): number;
    pushFront(...values: T[]): number;
    popFront(): T | undefined;
    peekFront(): T | undefined;
    clear(): void;
    isEmpty(): boolean;
    [Symbol.iterator](): Iterator<T>;
  }
}
