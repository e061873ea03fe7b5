/** Whose consent holds: what was allowed to one server is taken back before another one counts, however it came to be named. */
import { assertEquals } from "@std/assert";
import { readConfigFile, setInConfigFile, unsetInConfigFile } from "../../lib/app/config_file.ts";
import { logIn, logOut } from "../../lib/app/login.ts";
import { configSet, configUnset } from "../../lib/cli/commands/config.ts";
import type { Command, CommandContext } from "../../lib/cli/command.ts";
import { valueAt } from "../../lib/core/config.ts";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import type { Env, Host } from "../../lib/core/ports.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";
import { loadedLocks } from "../support/loaded_locks.ts";

const locks = await loadedLocks();

const A = "https://a.example";
const B = "https://b.example";

/** Each server takes each token. */
const network = {
  outward: () => ({
    fetch: (request: Request) => Promise.resolve(Response.json(request.url.endsWith("/me") ? {} : [])),
    [Symbol.dispose]() {},
  }),
};

class World {
  constructor(readonly home: Home) {}

  host(env: Env = {}): Host {
    return { ...testHost({ env }).host, locks, network } as unknown as Host;
  }

  async consent(): Promise<void> {
    for (const [key, value] of [["remote.enabled", true], ["workspaces.auto", true]] as const) {
      await setInConfigFile(this.host(), this.home, { key, value, same: () => false });
    }
  }

  async consented(): Promise<boolean> {
    const file = await readConfigFile(this.host(), this.home);
    return ["remote.enabled", "workspaces.auto"].some((key) => valueAt(file, key) !== undefined);
  }

  /** True when it says that consent was taken back. */
  async logIn(server: string, env: Env = {}): Promise<boolean> {
    return (await logIn(this.host(env), this.home, { server, token: "mul_1" })).consentTakenBack;
  }

  /** The same for a change of the settings. */
  async config(command: Command, ...positional: string[]): Promise<boolean> {
    let said: { consentTakenBack?: boolean } = {};
    const output = { result: (value: typeof said) => said = value };
    const context = { host: this.host(), home: () => this.home, output, args: { positional } };
    await command.run(context as unknown as CommandContext);
    return said.consentTakenBack === true;
  }
}

/** What happens after a login at A and a yes to it: whether it says that consent was taken back. */
const CASES: readonly (readonly [what: string, play: (w: World) => Promise<boolean>, taken: boolean])[] = [
  ["a login at the same server", (w) => w.logIn(A), false],
  ["a login at another", (w) => w.logIn(B), true],
  ["a login where a variable names the other server", (w) => w.logIn(B, { DROVER_SERVER_URL: B }), true],
  ["a login with the other server in config.json by hand", async (w) => {
    await setInConfigFile(w.host(), w.home, { key: "server.url", value: B, same: () => false });
    return await w.logIn(B);
  }, true],
  ["a login after server.url went from config.json", async (w) => {
    await unsetInConfigFile(w.host(), w.home, "server.url");
    return await w.logIn(B);
  }, true],
  ["config set server.url to the other", (w) => w.config(configSet, "server.url", B), true],
  ["config set server.url to the other after a logout", async (w) => {
    await logOut(w.host(), w.home);
    return await w.config(configSet, "server.url", B);
  }, true],
  ["config set server.url to the same", (w) => w.config(configSet, "server.url", `${A}/`), false],
  ["config set of something else", (w) => w.config(configSet, "tasks.max_concurrent", "2"), false],
  ["config unset server.url", (w) => w.config(configUnset, "server.url"), true],
  ["config unset of something else", (w) => w.config(configUnset, "tasks.max_concurrent"), false],
];

for (const [what, play, taken] of CASES) {
  Deno.test(`${what} ${taken ? "takes back what the server before was allowed, and says so" : "takes back nothing"}`, async () => {
    await using directory = await tempDirectory();
    const w = new World(homeLayout(directory.at("home")));
    await w.logIn(A);
    await w.consent();
    assertEquals([await play(w), await w.consented()], [taken, !taken]);
  });
}

Deno.test("logOut() leaves no token behind, also of a login that was cut off, and whether or not there is another", async () => {
  await using directory = await tempDirectory();
  const w = new World(homeLayout(directory.at("home")));
  for (const server of [A, null]) {
    if (server) await w.logIn(server);
    const left = `${w.home.root}/.tmp-1`;
    await Deno.writeTextFile(left, "mul_1");
    await Deno.utime(left, 0, 0);
    assertEquals(await logOut(w.host(), w.home), server);
    assertEquals(await Deno.stat(left).catch(() => "gone"), "gone");
  }
});
