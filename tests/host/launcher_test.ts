/** Launching and signalling: a log from the first word on, a session of its own, and never a signal for another process. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import { HostError } from "../../lib/core/ports.ts";
import { createIdentity } from "../../lib/host/identity.ts";
import { createLauncher } from "../../lib/host/launcher.ts";
import { tempDirectory } from "./temp_directory.ts";

const { identityOf } = createIdentity();
const launcher = createLauncher(identityOf);

Deno.test("launch() starts one process in a session of its own, with its output in a private log", async () => {
  await using directory = await tempDirectory();
  const logFile = `${directory.path}/out`;
  await Deno.writeTextFile(logFile, "before\n", { mode: 0o600 });
  const script = 'echo "$1 $$"; echo "to stderr" >&2; cat; ps -o sid= -p $$ | tr -d " "; exit 7';
  const launched = launcher.launch({
    argv: ["/bin/sh", "-c", script, "sh", "it's an argument"],
    cwd: directory.path,
    env: { PATH: "/usr/bin:/bin" },
    logFile,
  });
  // Its end alone does not hold up a process that wants to end: the deadline's timer does.
  assertEquals((await deadline(launched.exit, 10_000)).code, 7);
  const { pid } = launched;
  assertEquals(await Deno.readTextFile(logFile), `before\nit's an argument ${pid}\nto stderr\n${pid}\n`);
});

Deno.test("launch() names what it could not start", async () => {
  await using directory = await tempDirectory();
  const missing = `${directory.path}/none`;
  assertThrows(
    () => launcher.launch({ argv: ["/bin/true"], cwd: missing, env: {}, logFile: "/dev/null" }),
    HostError,
    "Cannot start /bin/true",
  );
});

Deno.test("signal() ends the process it means and no other that has its pid", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  try {
    const identity = identityOf(child.pid);
    assert(identity);
    assertEquals(launcher.signal({ ...identity, startTicks: "1" }, "SIGKILL"), "gone");
    assertEquals(launcher.signal({ ...identity, bootId: "other" }, "SIGKILL"), "gone");
    assertEquals(identityOf(child.pid), identity, "it still lives");
    assertEquals(launcher.signal(identity, "SIGTERM"), "sent");
    assertEquals((await child.status).signal, "SIGTERM");
    assertEquals(launcher.signal(identity, "SIGTERM"), "gone");
  } finally {
    await child.status;
  }
});
