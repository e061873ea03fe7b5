/** The file with the token: readable by its owner alone, and no trouble when it is damaged. */
import { assertEquals } from "@std/assert";
import { isExpired, readCredentials, removeCredentials, writeCredentials } from "../../lib/app/credentials.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

const MINE = { server: "https://team.example", token: "mul_1", user: null, expiresAt: "2026-01-15T12:00:00Z" };

Deno.test("writeCredentials() makes a file that others cannot read, and readCredentials() closes one that they can", async () => {
  await using directory = await tempDirectory();
  const { host } = testHost();
  const home = homeLayout(directory.at("home"));
  const mode = async () => (await Deno.stat(home.credentials)).mode! & 0o777;
  assertEquals(await readCredentials(host, home), undefined);
  await writeCredentials(host, home, MINE);
  assertEquals([await readCredentials(host, home), await mode()], [MINE, 0o600]);
  await Deno.chmod(home.credentials, 0o644);
  assertEquals([await readCredentials(host, home), await mode()], [MINE, 0o600]);
  assertEquals([await removeCredentials(host, home), await removeCredentials(host, home)], [true, false]);
});

Deno.test("readCredentials() takes a damaged file for none, and the next login replaces it", async () => {
  await using directory = await tempDirectory();
  const { host } = testHost();
  const home = homeLayout(directory.at("home"));
  await writeCredentials(host, home, MINE);
  const damaged = ["", "{", "null", '{"schemaVersion":1,"server":"x","token":""}', '{"schemaVersion":2}', "\0\0"];
  for (const text of damaged) {
    await Deno.writeTextFile(home.credentials, text);
    assertEquals(await readCredentials(host, home), undefined, JSON.stringify(text));
  }
  await writeCredentials(host, home, MINE);
  assertEquals(await readCredentials(host, home), MINE);
});

Deno.test("isExpired() goes by the time that the server gave, and by nothing where it gave none", () => {
  const end = Date.parse(MINE.expiresAt);
  assertEquals([isExpired(MINE, end - 1), isExpired(MINE, end)], [false, true]);
  for (const expiresAt of [null, "soon"]) assertEquals(isExpired({ expiresAt }, end), false);
});
