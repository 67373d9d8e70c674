/** Log lines: readable on a terminal, one JSON object a line otherwise. */

const ranks = { debug: 0, info: 1, warn: 2, error: 3 } as const;

/** How much a line matters, from `debug` to `error`. */
export type LogLevel = keyof typeof ranks;

/** Details of a log line. Values may come from clients: every format escapes them. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Takes log lines, one method for each level. Never throws. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Which lines are written, how and where. */
export interface LogOptions {
  /** Lines below this level are not written. */
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Takes one finished line without its line break. */
  readonly write: (line: string) => void;
}

/** A log that writes the lines of its level and above. */
export function createLog(options: LogOptions): Log {
  const at = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (ranks[level] < ranks[options.level]) return;
    const ts = new Date().toISOString();
    options.write(
      options.format === "json"
        ? escaped({ ts, level, message, ...fields })
        : `${ts.slice(11, 23)} ${level.padEnd(5)} ${message}${asText(fields)}`,
    );
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** What is known of something thrown, for a log line. */
export function describeThrown(thrown: unknown): LogFields {
  return thrown instanceof Error
    ? { error: thrown.message, ...(thrown.stack && { stack: thrown.stack }) }
    : { error: typeof thrown === "string" ? thrown : Deno.inspect(thrown) };
}

function asText(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${escaped(value)}`)
    .join("");
}

/** JSON that is safe to show: it escapes C0 itself, but not DEL, C1 and what reorders or breaks a line. */
function escaped(value: LogFields | LogFields[string]): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
