import { assertEquals } from "@std/assert";
import { ClientAddresses, parseAddressRange } from "../src/address.ts";

const proxies = ["10.0.0.0/8", "192.168.1.1", "fd00::/8", "::ffff:172.16.0.0/108"];

function addressOf(peer: string, header?: string | string[], trusted = proxies): string {
  const addresses = new ClientAddresses({
    trustedProxies: trusted.map((range) => parseAddressRange(range)!),
    proxyAddressHeader: "x-forwarded-for",
  });
  const headers = new Headers([header ?? []].flat().map((line) => ["X-Forwarded-For", line]));
  return addresses.of({ remoteAddr: { hostname: peer } }, headers);
}

const spoofs = "1.1.1.1, 10.0.0.1";

Deno.test("a client's address is the peer's, whatever a header says, unless the peer is a trusted proxy", () => {
  assertEquals(addressOf("203.0.113.7"), "203.0.113.7");
  assertEquals(addressOf("203.0.113.7", spoofs), "203.0.113.7");
  assertEquals(addressOf("10.0.0.1", "203.0.113.7", []), "10.0.0.1");
  assertEquals(addressOf("192.168.1.2", "203.0.113.7"), "192.168.1.2");
  assertEquals(addressOf("11.0.0.0", "203.0.113.7"), "11.0.0.0");
});

Deno.test("behind trusted proxies it is the right-most that is none of them: what stands left of it is hearsay", () => {
  assertEquals(addressOf("10.0.0.1", "203.0.113.7"), "203.0.113.7");
  assertEquals(addressOf("10.0.0.1", `${spoofs}, 203.0.113.7`), "203.0.113.7");
  assertEquals(addressOf("10.0.0.1", "1.1.1.1, 203.0.113.7,10.9.9.9 ,192.168.1.1"), "203.0.113.7");
  assertEquals(addressOf("10.0.0.1", ["1.1.1.1", "203.0.113.7", "10.9.9.9"]), "203.0.113.7");
  assertEquals(addressOf("fd00::1", "203.0.113.7, 172.16.5.5"), "203.0.113.7");
  assertEquals(addressOf("172.32.0.1", "203.0.113.7"), "172.32.0.1", "outside of 172.16.0.0/12");
});

Deno.test("a chain that names nobody but proxies leads to the left-most of them", () => {
  assertEquals(addressOf("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3");
  assertEquals(addressOf("10.0.0.1"), "10.0.0.1");
  assertEquals(addressOf("10.0.0.1", ""), "10.0.0.1");
});

Deno.test("what is no address ends the chain at the last trusted hop", () => {
  const odd = [
    "unknown",
    "",
    "10.1",
    "0x0a.1",
    "010.0.0.1",
    "1.2.3.4:80",
    "[2001:db8::1]",
    "1.2.3",
  ];
  for (const text of [...odd, "999.1.1.1", "1.2.3.4/8", "::g", "\u00a010", "1.2.3.4;for=x"]) {
    assertEquals(addressOf("10.0.0.1", `203.0.113.7, ${text}`), "10.0.0.1", text);
    assertEquals(addressOf("10.0.0.1", `203.0.113.7, ${text}, 10.0.0.2`), "10.0.0.2", text);
  }
});

Deno.test("IPv4 within IPv6 is IPv4, on the wire, in the header and in a range", () => {
  assertEquals(addressOf("::ffff:203.0.113.7"), "203.0.113.7");
  assertEquals(addressOf("::ffff:10.0.0.1", "::ffff:cb00:7107"), "203.0.113.7");
  assertEquals(addressOf("::ffff:172.16.0.9", "203.0.113.7"), "203.0.113.7");
});

Deno.test("IPv6 is counted by its first 64 bits, however it is written", () => {
  assertEquals(addressOf("2001:db8:0:7::1"), "2001:db8:0:7::/64");
  assertEquals(addressOf("2001:DB8::7:0:0:0:2"), "2001:db8:0:7::/64");
  assertEquals(addressOf("2001:db8:0:8::1"), "2001:db8:0:8::/64");
  assertEquals(addressOf("fe80::1%2"), "fe80:0:0:0::/64");
  assertEquals(addressOf("::1"), "0:0:0:0::/64");
});

Deno.test("a chain of thousands is read from its end, and no further than trust goes", () => {
  const long = "10.0.0.9,".repeat(7_000);
  assertEquals(addressOf("10.0.0.1", `${long}203.0.113.7`), "203.0.113.7");
  assertEquals(addressOf("10.0.0.1", `203.0.113.7,${long}10.0.0.2`), "203.0.113.7");
});
