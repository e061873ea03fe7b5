/** Which way a request goes out: the variables by scheme, the exceptions, and never a proxy for this machine. */
import { assertEquals } from "@std/assert";
import { isLoopback, proxyFor } from "../../lib/core/proxy.ts";

const PROXIES = { HTTP_PROXY: "http://plain:3128", https_proxy: "http://tls:3128", ALL_PROXY: "socks5://all:1080" };

function way(url: string, env: Record<string, string>): string | undefined {
  return proxyFor(new URL(url), env)?.url;
}

Deno.test("proxyFor() goes by the scheme, and by ALL_PROXY where it has no variable", () => {
  assertEquals(way("http://far.example/", PROXIES), "http://plain:3128");
  assertEquals(way("https://far.example/", PROXIES), "http://tls:3128");
  assertEquals(way("wss://far.example/", PROXIES), "http://tls:3128");
  assertEquals(way("https://far.example/", { ALL_PROXY: "socks5://all:1080" }), "socks5://all:1080");
  assertEquals(way("https://far.example/", { HTTP_PROXY: "http://plain:3128" }), undefined);
  assertEquals(way("http://far.example/", { http_proxy: "proxy:3128" }), "http://proxy:3128");
  assertEquals(way("http://far.example/", {}), undefined);
});

Deno.test("proxyFor() takes the credentials out of the proxy's address", () => {
  assertEquals(proxyFor(new URL("http://far.example/"), { http_proxy: "http://me:p%40ss@proxy:3128" }), {
    url: "http://proxy:3128/",
    basicAuth: { username: "me", password: "p@ss" },
  });
});

Deno.test("proxyFor() never sends what stays on this machine through a proxy", () => {
  for (const host of ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "localhost."]) {
    assertEquals(way(`http://${host}:8080/`, PROXIES), undefined, host);
    assertEquals(isLoopback(new URL(`http://${host}/`).hostname), true, host);
  }
  for (const host of ["127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "128.0.0.1"]) {
    assertEquals(isLoopback(host), false, host);
  }
});

Deno.test("proxyFor() makes the exceptions of NO_PROXY", () => {
  const direct = (list: string, url: string) => way(url, { ...PROXIES, NO_PROXY: list }) === undefined;
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["*", "https://far.example/", true],
    ["far.example", "https://far.example/", true],
    ["far.example", "https://api.far.example/", true],
    [".far.example", "https://api.far.example/", true],
    ["*.far.example", "https://api.far.example/", true],
    ["far.example", "https://notfar.example/", false],
    ["other.example, far.example", "https://far.example/", true],
    ["far.example:443", "https://far.example/", true],
    ["far.example:8443", "https://far.example/", false],
    ["10.0.0.0/8", "http://10.1.2.3/", true],
    ["10.0.0.0/8", "http://11.1.2.3/", false],
    ["10.1.2.3", "http://10.1.2.3/", true],
    ["", "https://far.example/", false],
  ];
  for (const [list, url, expected] of cases) assertEquals(direct(list, url), expected, `${list} for ${url}`);
});
