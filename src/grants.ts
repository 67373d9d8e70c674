/** Grants: what a token allows on which topics, and how a topic's name is matched against a pattern. */

import { z } from "zod";
import { describeField, TopicName } from "./protocol.ts";

const actions = ["subscribe", "publish", "history", "presence"] as const;

/** What can be allowed on a topic. */
export const Action = z.enum(actions, `must be ${actions.join(", ")}`);
export type Action = z.infer<typeof Action>;

const Grant = z.strictObject(
  {
    match: z.string("must be a string"),
    allow: z.array(Action, "must be an array").min(1, `must name at least one action`),
  },
  {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? "must have no fields but match and allow"
        : "must be an object with match and allow",
  },
);

/** Allows some actions on all topics that its pattern matches. */
export type Grant = z.infer<typeof Grant>;

const Grants = z.array(Grant, "must be an array");

/** Stands for one whole segment. */
const oneSegment = Symbol("*");
/** Stands for all that is left. */
const theRest = Symbol("**");

/** A pattern, ready to be matched: texts that must stand there literally, and what stands for segments between them. */
export type Pattern = readonly (string | typeof oneSegment | typeof theRest)[];

/**
 * Reads a pattern. Segments are separated by `.`, `/` or `:`, which match literally; `*` stands for one segment that is
 * not empty, `**` at the end for one or more, and `{sub}` for one that is `sub`. Answers what is wrong as text.
 */
export function compilePattern(match: string, sub: string): Pattern | string {
  const pattern: (string | typeof oneSegment | typeof theRest)[] = [];
  let literal = "";
  let example = "";
  const pieces = match.split(/([./:])/);
  for (const [index, piece] of pieces.entries()) {
    const isLast = index === pieces.length - 1;
    if (piece === "*" || piece === "**") {
      if (piece === "**" && !isLast) return 'must have "**" at its end only';
      if (literal !== "") pattern.push(literal);
      literal = "";
      pattern.push(piece === "*" ? oneSegment : theRest);
      example += "x";
    } else if (piece.includes("*")) {
      return 'must have "*" and "**" as whole segments only';
    } else if (piece === "{sub}") {
      if (!/^[A-Za-z0-9_-]{1,255}$/.test(sub)) {
        return 'must not have {sub}, as this token\'s "sub" is no single segment of a topic';
      }
      literal += sub;
      example += sub;
    } else {
      literal += piece;
      example += piece;
    }
  }
  if (literal !== "") pattern.push(literal);
  // What is no topic's name with segments in its places matches nothing, and was meant otherwise.
  if (!TopicName.safeParse(example).success) {
    return "must be a topic, with * ** or {sub} as segments";
  }
  return pattern;
}

/** Whether a topic is among those that a pattern stands for. Takes time in proportion to the topic's length. */
export function matches(pattern: Pattern, topic: string): boolean {
  let at = 0;
  for (const part of pattern) {
    if (part === theRest) return at < topic.length;
    const start = at;
    if (part === oneSegment) {
      while (at < topic.length && !isSeparator(topic.charCodeAt(at))) at++;
      if (at === start) return false;
    } else {
      if (!topic.startsWith(part, at)) return false;
      at += part.length;
    }
  }
  return at === topic.length;
}

function isSeparator(code: number): boolean {
  return code === 0x2e || code === 0x2f || code === 0x3a;
}

/** The grants of one token. What one of them allows is allowed. */
export class GrantSet {
  readonly #grants: readonly { readonly grant: Grant; readonly pattern: Pattern }[];

  private constructor(grants: readonly { readonly grant: Grant; readonly pattern: Pattern }[]) {
    this.#grants = grants;
  }

  /** Reads the claim `topics` of a token of `sub`. Answers what is wrong with it as text, which names the entry. */
  static read(claim: unknown, sub: string): GrantSet | string {
    const read = Grants.safeParse(claim === undefined ? [] : claim);
    if (!read.success) {
      const { path } = read.error.issues[0]!;
      return path.length === 0 ? `"topics" ${read.error.issues[0]!.message}` : named(read.error);
    }
    const compiled = [];
    for (const [index, grant] of read.data.entries()) {
      const pattern = compilePattern(grant.match, sub);
      if (typeof pattern === "string") return `"topics.${index}.match" ${pattern}`;
      compiled.push({ grant, pattern });
    }
    return new GrantSet(compiled);
  }

  /** The first grant that allows this, if any. */
  find(action: Action, topic: string): Grant | undefined {
    return this.#grants.find(({ grant, pattern }) =>
      grant.allow.includes(action) && matches(pattern, topic)
    )?.grant;
  }

  /** All grants whose pattern matches a topic, whatever they allow there. */
  on(topic: string): readonly Grant[] {
    return this.#grants.filter(({ pattern }) => matches(pattern, topic)).map(({ grant }) => grant);
  }
}

function named(error: z.core.$ZodError): string {
  return describeField(error).replace(/^"/, '"topics.');
}
