/** A CLI's private home: what is linked, what is copied, and what a later run finds of an earlier one. */
import { assertEquals } from "@std/assert";
import { makePrivateHome } from "../../lib/daemon/private_home.ts";
import { createFiles } from "../../lib/host/files.ts";
import { tempDirectory } from "../host/temp_directory.ts";

const files = createFiles();
const ROW = {
  variable: "BOT_HOME",
  original: ".bot",
  linked: ["auth.json", "cache", "sessions/none"],
  copied: ["config.toml", "absent.toml"],
};

Deno.test("makePrivateHome() shares log-ins by a link, copies settings afresh, and keeps what a run left", async () => {
  await using dir = await tempDirectory();
  const [user, path] = [dir.at("user/.bot"), dir.at("root/homes/bot")];
  await Deno.mkdir(`${user}/cache`, { recursive: true });
  await Deno.writeTextFile(`${user}/auth.json`, "login");
  await Deno.writeTextFile(`${user}/config.toml`, "one");
  const make = () => makePrivateHome(path, ROW, { files, env: { HOME: dir.at("user") } });
  assertEquals(await make(), { BOT_HOME: path });
  assertEquals(await files.list(path), ["auth.json", "cache", "config.toml"]);
  assertEquals((await files.stat(path))!.mode, 0o700);
  assertEquals([await Deno.readLink(`${path}/auth.json`), await Deno.readLink(`${path}/cache`)], [
    `${user}/auth.json`,
    `${user}/cache`,
  ]);
  await Deno.writeTextFile(`${path}/config.toml`, "changed by the run");
  await Deno.writeTextFile(`${path}/session.db`, "kept");
  assertEquals(await Deno.readTextFile(`${user}/config.toml`), "one");
  await Deno.writeTextFile(`${user}/config.toml`, "two");
  await make();
  assertEquals([await Deno.readTextFile(`${path}/config.toml`), await Deno.readTextFile(`${path}/session.db`)], [
    "two",
    "kept",
  ]);
});

Deno.test("makePrivateHome() takes no log-in away that the CLI renewed in the place of the link, unless the user's is newer", async () => {
  await using dir = await tempDirectory();
  const [user, path] = [dir.at("user/.bot"), dir.at("home")];
  await Deno.mkdir(user, { recursive: true });
  await Deno.writeTextFile(`${user}/auth.json`, "old");
  const make = () => makePrivateHome(path, ROW, { files, env: { HOME: dir.at("user") } });
  await make();
  await files.writeAtomic(`${path}/auth.json`, "renewed");
  await files.setModified(`${user}/auth.json`, Date.now() - 60_000);
  await make();
  assertEquals(await Deno.readTextFile(`${path}/auth.json`), "renewed");
  await Deno.writeTextFile(`${user}/auth.json`, "logged in again");
  await files.setModified(`${user}/auth.json`, Date.now() + 60_000);
  await make();
  assertEquals(await Deno.readTextFile(`${path}/auth.json`), "logged in again");
});

Deno.test("makePrivateHome() starts from where the user's own variable leads", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("elsewhere"));
  await Deno.writeTextFile(dir.at("elsewhere/config.toml"), "mine");
  const env = { HOME: dir.at("user"), BOT_HOME: dir.at("elsewhere") };
  assertEquals(await makePrivateHome(dir.at("home"), ROW, { files, env }), { BOT_HOME: dir.at("home") });
  assertEquals(await files.list(dir.at("home")), ["config.toml"]);
  assertEquals(await makePrivateHome(dir.at("none"), ROW, { files, env: {} }), {});
  assertEquals(await files.stat(dir.at("none")), undefined);
});
