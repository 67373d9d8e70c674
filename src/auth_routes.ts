/** HTTP routes that access brings: tickets, explanations, and admins before what is theirs. */

import { zValidator } from "@hono/zod-validator";
import { Hono, type MiddlewareHandler } from "hono";
import { z } from "zod";
import type { Access } from "./access.ts";
import { RequestError } from "./errors.ts";
import { Action } from "./grants.ts";
import { refuseInvalid, requireJson } from "./http.ts";
import { type Identity, notOwnClientId, requireAdmin } from "./identity.ts";
import { TopicName } from "./protocol.ts";

const Question = z.object({
  token: z.string("must be a string"),
  action: Action,
  topic: TopicName,
  client_id: z.string("must be a string").optional(),
}, "must be a JSON object");
type Question = z.infer<typeof Question>;

/** What the routes go by. */
export interface AccessRoutesOptions {
  /** The longest request body that is read, in bytes. */
  readonly maxMessageBytes: number;
}

/** Routes below `/auth`, and what asks for an admin's token before the routes that make, delete and show topics. */
export function createAccessRoutes(access: Access, options: AccessRoutesOptions): Hono {
  const routes = new Hono();
  const admin = (verb: string): MiddlewareHandler => async (context, next) => {
    requireAdmin(await access.identify(context.req.raw, verb), verb);
    await next();
  };

  routes.get("/topics", admin("list topics"));
  routes.post("/topics", admin("create topic"));
  routes.delete("/topics/:name", admin("delete topic"));
  routes.get("/stats", admin("read stats"));

  routes.post("/auth/ticket", async (context) => {
    const identity = await access.identify(context.req.raw, "make ticket");
    return context.json(access.issueTicket(identity), 200, { "cache-control": "no-store" });
  });

  routes.post(
    "/auth/explain",
    admin("explain"),
    requireJson(options.maxMessageBytes),
    zValidator("json", Question, refuseInvalid("explain")),
    async (context) => {
      const question = context.req.valid("json");
      try {
        return context.json(explain(await access.verify(question.token), question));
      } catch (thrown) {
        if (!(thrown instanceof RequestError) || thrown.body.code === "UNAVAILABLE") throw thrown;
        return context.json({ allowed: false, reason: thrown.body.message });
      }
    },
  );

  return routes;
}

function explain(identity: Identity, { action, topic, client_id }: Question) {
  if (client_id !== undefined && !identity.owns(client_id)) {
    return { allowed: false, reason: notOwnClientId(action).message };
  }
  const found = identity.explain(action, topic);
  if ("reason" in found) return { allowed: false, ...found };
  return found.grant === "admin" ? { allowed: true, admin: true } : { allowed: true, ...found };
}
