/** Which way a request goes out: the proxy that the environment names for its address, or none; never one for this machine. */
import type { Env } from "./ports.ts";

export interface Proxy {
  readonly url: string;
  /** For the proxy itself; taken out of its address. */
  readonly basicAuth?: { readonly username: string; readonly password: string };
}

/** Addresses of this very machine, as they stand in a URL. */
export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "").toLowerCase();
  return bare === "localhost" || bare.endsWith(".localhost") || bare === "::1" || /^127(\.\d{1,3}){3}$/.test(bare);
}

/** By scheme, the first variable that is set. `HTTP_PROXY` is what a web server makes of a header, so the small one leads. */
const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  "http:": ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
  "ws:": ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
  "https:": ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
  "wss:": ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
};

/** `undefined`: directly. A proxy whose address cannot be read is kept as it stands, for the error to name it. */
export function proxyFor(url: URL, env: Env): Proxy | undefined {
  if (isLoopback(url.hostname) || isExcepted(url, env.no_proxy || env.NO_PROXY || "")) return undefined;
  const name = VARIABLES[url.protocol]?.find((name) => env[name]);
  const text = name && env[name];
  if (!text) return undefined;
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const parsed = URL.parse(address);
  if (!parsed?.username) return { url: address };
  const basicAuth = { username: decoded(parsed.username), password: decoded(parsed.password) };
  parsed.username = "";
  parsed.password = "";
  return { url: parsed.href, basicAuth };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `NO_PROXY`: names with commas between them, each for itself and what is below it; `*`, `HOST:PORT` and IPv4 ranges. */
function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const port = url.port || (/^(https|wss):$/.test(url.protocol) ? "443" : "80");
  return list.split(/[\s,]+/).filter(Boolean).some((entry) => {
    if (entry === "*") return true;
    const range = rangeOf(entry);
    if (range) return isIn(range, host);
    const [, name = "", only] = /^(.*?)(?::(\d+))?$/.exec(entry.includes("::") ? entry : entry.toLowerCase()) ?? [];
    if (only !== undefined && only !== port) return false;
    const bare = name.replace(/^\[|\]$/g, "").replace(/^\*?\./, "");
    return bare !== "" && (host === bare || host.endsWith(`.${bare}`));
  });
}

interface Range {
  readonly base: number;
  readonly bits: number;
}

function rangeOf(entry: string): Range | undefined {
  const [, address, length] = /^([\d.]+)\/(\d{1,2})$/.exec(entry) ?? [];
  const base = address === undefined ? undefined : ipv4(address);
  const bits = Number(length);
  return base === undefined || bits > 32 ? undefined : { base, bits };
}

function isIn({ base, bits }: Range, host: string): boolean {
  const address = ipv4(host);
  const size = 2 ** (32 - bits);
  return address !== undefined && Math.floor(address / size) === Math.floor(base / size);
}

function ipv4(text: string): number | undefined {
  const parts = text.split(".").map(Number);
  const good = parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255);
  return good ? parts.reduce((sum, part) => sum * 256 + part, 0) : undefined;
}

/** Variables that name files with certificates to trust beside the usual ones. */
export const CERTIFICATE_VARIABLES = ["SSL_CERT_FILE", "DENO_CERT", "NODE_EXTRA_CA_CERTS"] as const;
