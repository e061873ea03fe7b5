/** The administrator's policy in a real file, believed or not by whose it seems to be: owners alone are made up. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { checkPolicy, demandRemoteAllowed, demandServerAllowed, lookAtPolicy } from "../../lib/app/machine_policy.ts";
import { writeCredentials } from "../../lib/app/credentials.ts";
import { requireLogin, serverToUse } from "../../lib/app/login.ts";
import { readSettings } from "../../lib/app/settings.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { MACHINE_POLICY_FILE } from "../../lib/core/machine_policy.ts";
import type { Files, Host } from "../../lib/core/ports.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

/** A machine whose /etc/drover lies in a directory of the test; everything outside of that is root's. */
class Machine implements AsyncDisposable {
  readonly host: Host;
  readonly home;
  /** Of files and directories there by name. */
  readonly owners = new Map<string, number>();
  readonly #directory;

  private constructor(directory: AsyncDisposable & { at(name: string): string }) {
    this.#directory = directory;
    this.home = homeLayout(directory.at("home"));
    const { host } = testHost({ env: { HOME: directory.at("user") } });
    const { files } = host;
    const there = (path: string) => path.startsWith("/etc/drover") ? directory.at(path.slice(5)) : path;
    const etc = directory.at("").replace(/\/*$/, "/");
    this.host = {
      ...host,
      files: {
        ...files,
        readText: (path) => files.readText(there(path)),
        realPath: async (path) => (await files.realPath(there(path))).replace(etc, "/etc/"),
        stat: (path, options) => this.#stat(files, there(path), path, options),
      },
    };
  }

  async #stat(
    files: Files,
    there: string,
    path: string,
    options?: { link?: boolean },
  ): ReturnType<Files["stat"]> {
    const info = await files.stat(there, options);
    if (!info || !(path === "/" || path.startsWith("/etc"))) return info;
    return path.startsWith("/etc/drover")
      ? { ...info, uid: this.owners.get(path) ?? 0 }
      : { ...info, uid: 0, mode: 0o755 };
  }

  static async create(policy?: unknown): Promise<Machine> {
    const directory = await tempDirectory();
    const machine = new Machine(directory);
    await Deno.mkdir(directory.at("home"), { mode: 0o700 });
    if (policy !== undefined) await machine.write(typeof policy === "string" ? policy : JSON.stringify(policy));
    return machine;
  }

  async write(text: string, mode = 0o644): Promise<void> {
    await Deno.mkdir(this.#directory.at("drover"), { recursive: true, mode: 0o755 });
    await Deno.writeTextFile(this.#directory.at("drover/policy.json"), text);
    await Deno.chmod(this.#directory.at("drover/policy.json"), mode);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#directory[Symbol.asyncDispose]();
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, DroverError)).code;
}

Deno.test("without a policy nothing is restricted, and doctor does not speak of it", async () => {
  await using machine = await Machine.create();
  assertEquals(await lookAtPolicy(machine.host), { kind: "none" });
  await demandRemoteAllowed(machine.host);
  await demandServerAllowed(machine.host, "https://any.example");
  assertEquals(await checkPolicy(machine.host, machine.home), []);
});

Deno.test("a policy of root's overrides command line, environment and file, and doctor shows it", async () => {
  await using machine = await Machine.create({
    servers: ["https://good.example"],
    update_pin: "1.2.3",
    settings: { "remote.enabled": false },
    limits: { "tasks.max_concurrent": 2 },
  });
  await Deno.writeTextFile(machine.home.config, '{"tasks":{"max_concurrent":8},"remote":{"enabled":true}}');
  const { host, home } = machine;
  const settings = await readSettings(host, home, { maxConcurrentTasks: "16" });
  assertEquals([settings.maxConcurrentTasks, settings.remoteEnabled], [2, false]);
  assertEquals(await codeOf(demandRemoteAllowed(host)), "policy_refused");
  assertEquals(
    await codeOf(serverToUse(host, home, { given: "https://other.example", insecure: false })),
    "policy_refused",
  );
  assertEquals(
    await serverToUse(host, home, { given: "https://good.example/", insecure: false }),
    "https://good.example",
  );
  const [finding] = await checkPolicy(host, home);
  assertEquals(finding?.verdict, "ok");
  assertStringIncludes(finding?.finding ?? "", "only the server https://good.example; only version 1.2.3");
  assertEquals(finding?.details, [
    "2 settings of yours are overridden",
    "tasks.max_concurrent: 8 is wanted, 2 counts",
    "remote.enabled: true is wanted, false counts",
  ]);
});

Deno.test("a token of before the policy is sent to no server that it does not allow", async () => {
  await using machine = await Machine.create({ servers: ["https://good.example"] });
  const user = { id: "u", name: "n", email: "e" };
  await writeCredentials(machine.host, machine.home, {
    server: "https://other.example",
    token: "t",
    user,
    expiresAt: null,
  });
  assertEquals(await codeOf(requireLogin(machine.host, machine.home)), "policy_refused");
});

Deno.test("a policy that others could have written has no effect, and doctor says whose it is", async () => {
  const path = MACHINE_POLICY_FILE;
  const untrusted: readonly ((machine: Machine) => Promise<void> | void)[] = [
    (machine) => void machine.owners.set(path, 1000),
    (machine) => void machine.owners.set("/etc/drover", 1000),
    (machine) => machine.write('{"servers":[]}', 0o666),
    (machine) => machine.write('{"servers":[]}', 0o664),
  ];
  for (const spoil of untrusted) {
    await using machine = await Machine.create({ servers: [] });
    await spoil(machine);
    assertEquals((await lookAtPolicy(machine.host)).kind, "not-believed");
    await demandServerAllowed(machine.host, "https://any.example");
    const [finding] = await checkPolicy(machine.host, machine.home);
    assertEquals(finding?.verdict, "problem");
    assertStringIncludes(finding?.finding ?? "", "has no effect");
  }
});

Deno.test("a policy of root's that cannot be used forbids rather than allows, and says what is wrong", async () => {
  await using machine = await Machine.create('{"server": []}');
  const { host, home } = machine;
  const error = await assertRejects(() => readSettings(host, home), DroverError, '"server" is not known');
  assertEquals(error.code, "config_invalid");
  const [finding] = await checkPolicy(host, home);
  assertEquals(finding?.verdict, "problem");
});
