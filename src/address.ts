/** Where a request comes from: its peer or, behind proxies that are trusted, the address that the outermost saw. */

import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Addresses that begin with the same bits: `10.0.0.0/8`, `fd00::/8`, or one address. */
export type AddressRange = readonly [start: Address, bits: number];

/** What the network tells of a request's other end. */
export interface RequestOrigin {
  readonly remoteAddr: { readonly hostname: string };
}

/** How a client's address is found. */
export interface ClientAddressesOptions {
  /** Peers whose word is taken for whom they speak. */
  readonly trustedProxies: readonly AddressRange[];
  /** The header in which each proxy adds the address that it sees to the end of a list, separated by commas. */
  readonly proxyAddressHeader: string;
}

/** Reads an address or a range in CIDR notation (RFC 4632, RFC 4291 section 2.3), or answers `undefined`. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [, start, prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(start ?? "");
  if (!address) return undefined;
  // What is written as an IPv4 address within IPv6 counts the bits before it, too.
  const isMapped = start!.includes(":") && address.kind() === "ipv4";
  const width = address.toByteArray().length * 8;
  const bits = prefix === undefined ? width : Number(prefix) - (isMapped ? 96 : 0);
  return bits >= 0 && bits <= width ? [address, bits] : undefined;
}

/** Finds the addresses by which connections are counted. */
export class ClientAddresses {
  readonly #trusted: readonly AddressRange[];
  readonly #header: string;

  constructor({ trustedProxies, proxyAddressHeader }: ClientAddressesOptions) {
    this.#trusted = trustedProxies;
    this.#header = proxyAddressHeader;
  }

  /**
   * The address under which a request's sender is counted: an IPv4 address, or the first 64 bits of an IPv6 address,
   * since that much is commonly given to one customer (RFC 6177, section 2). A list in the header is read from its end
   * as long as the word of a trusted proxy stands behind it: what stands further left anybody can have written.
   */
  of({ remoteAddr }: RequestOrigin, headers: Headers): string {
    let address = parseAddress(remoteAddr.hostname);
    if (!address) return remoteAddr.hostname;
    if (this.#isTrusted(address)) {
      const hops = (headers.get(this.#header) ?? "").split(",");
      for (let hop; this.#isTrusted(address) && (hop = hops.pop()) !== undefined;) {
        const next = parseAddress(hop.trim());
        if (!next) break;
        address = next;
      }
    }
    return "octets" in address ? address.toString() : networkOf(address);
  }

  #isTrusted(address: Address): boolean {
    return this.#trusted.some(([start, bits]) =>
      start.kind() === address.kind() && address.match(start, bits)
    );
  }
}

/** An IPv4 address that is mapped into IPv6 is the IPv4 address. Only full notation: `10.1` is no address here. */
function parseAddress(text: string): Address | undefined {
  const isWhole = text.includes(":")
    ? ipaddr.IPv6.isValid(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text);
  return isWhole ? ipaddr.process(text) : undefined;
}

function networkOf({ parts }: ipaddr.IPv6): string {
  return `${parts.slice(0, 4).map((part) => part.toString(16)).join(":")}::/64`;
}
