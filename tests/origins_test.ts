/** What browsers are told (CORS), so that pages can ask, and read errors too. */

import { assertEquals } from "@std/assert";
import { type Reachable, serve } from "./harness.ts";
import { secret } from "./issuer.ts";

const page = "https://app.example.com";

/** Asks as a page of the origin does, and answers the headers that its browser looks at. */
async function askFrom(origin: string, server: Reachable, path: string, init: RequestInit = {}) {
  const headers = { origin, ...init.headers as Record<string, string> };
  const response = await fetch(server.url + path, { ...init, headers });
  const text = await response.text();
  const named = (name: string) => response.headers.get(`access-control-${name}`);
  return {
    status: response.status,
    allowOrigin: named("allow-origin"),
    vary: response.headers.get("vary"),
    exposed: named("expose-headers"),
    methods: named("allow-methods"),
    headers: named("allow-headers"),
    code: text === "" ? undefined : JSON.parse(text).error?.code,
  };
}

const preflight = {
  method: "OPTIONS",
  headers: {
    "access-control-request-method": "DELETE",
    "access-control-request-headers": "authorization",
  },
};
const answered = {
  vary: "Origin",
  exposed: "Retry-After, WWW-Authenticate",
  methods: null,
  headers: null,
  code: undefined,
};

Deno.test("without access, pages of every origin may ask", async () => {
  await using server = await serve();
  const open = { ...answered, allowOrigin: "*", vary: null };
  assertEquals(await askFrom(page, server, "/topics"), { ...open, status: 200 });
  assertEquals(await askFrom("null", server, "/nowhere"), {
    ...open,
    status: 404,
    code: "BAD_REQUEST",
  });
});

Deno.test("a listed origin is told that it may ask, in preflights and in errors too", async () => {
  await using server = await serve({ jwtSecret: secret, allowedOrigins: [page] });
  const listed = { ...answered, allowOrigin: page };
  assertEquals(await askFrom(page, server, "/health"), { ...listed, status: 200 });
  assertEquals(await askFrom(page, server, "/topics"), {
    ...listed,
    status: 401,
    code: "UNAUTHORIZED",
  });
  assertEquals(await askFrom(page, server, "/topics/orders", preflight), {
    ...listed,
    status: 204,
    methods: "GET, HEAD, POST, DELETE, OPTIONS",
    headers: "Authorization, Content-Type",
  });
});

Deno.test("an origin that is not listed gets nothing that its page could read", async () => {
  await using server = await serve({ allowedOrigins: [page] });
  const refused = { ...answered, allowOrigin: null, exposed: null, code: "FORBIDDEN", status: 403 };
  for (const origin of ["null", "https://app.example.com.evil.com", "http://app.example.com"]) {
    assertEquals(await askFrom(origin, server, "/health"), refused);
    assertEquals(await askFrom(origin, server, "/topics/orders", preflight), refused);
  }
});

Deno.test("an OPTIONS that is no preflight is answered as everybody's", async () => {
  await using server = await serve();
  const { status, methods } = await askFrom(page, server, "/topics", { method: "OPTIONS" });
  assertEquals([status, methods], [204, null]);
});
