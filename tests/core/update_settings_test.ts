/** Where releases may come from, as a setting: encrypted, or from this machine, and nothing in the address but where. */
import { assertEquals } from "@std/assert";
import { UPDATE_SETTINGS } from "../../lib/core/update_settings.ts";

Deno.test("update.url is an https address, or http of this machine, without a slash at its end; empty is the project's own", () => {
  const { parse } = UPDATE_SETTINGS.updateUrl;
  const good = {
    "": "",
    "https://example.com/releases": "https://example.com/releases",
    "https://example.com:8443/a//": "https://example.com:8443/a",
    "http://127.0.0.1:8080/": "http://127.0.0.1:8080",
    "http://localhost/a": "http://localhost/a",
    "http://[::1]:8080": "http://[::1]:8080",
  };
  for (const [given, url] of Object.entries(good)) assertEquals(parse(given), url, given);
  const bad = [
    "http://example.com",
    "http://127.0.0.1.example.com",
    "http://localhost.example.com",
    "ftp://example.com",
    "file:///releases",
    "example.com/releases",
    "https://user@example.com",
    "https://:word@example.com",
    "https://example.com/?a=1",
    "https://example.com/#a",
    7,
    null,
  ];
  for (const given of bad) assertEquals(parse(given), undefined, String(given));
});
