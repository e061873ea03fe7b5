/** Process identity: the same for the same process, another for any other, none for what is not alive. */
import { assert, assertEquals, assertExists, assertNotEquals } from "@std/assert";
import { deadline } from "@std/async";
import { createIdentity } from "../../lib/host/identity.ts";

const identity = createIdentity();

Deno.test("self() is what identityOf() says of this process, again and again", () => {
  const self = identity.self();
  assertEquals(self.pid, Deno.pid);
  assert(self.startTicks !== "" && self.bootId !== "");
  assertEquals(identity.identityOf(Deno.pid), self);
  assertEquals(createIdentity().self(), self);
});

Deno.test("identityOf() tells a child apart and knows when it is gone", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const found = identity.identityOf(child.pid);
  child.kill("SIGKILL");
  await child.status;
  assertExists(found);
  assertEquals([found.pid, found.bootId], [child.pid, identity.self().bootId]);
  assertNotEquals(found.startTicks, "");
  assertEquals(identity.identityOf(child.pid), undefined);
});

Deno.test("identityOf() reads a process whose name looks like its own line in the process table", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/a) R 1 (`;
    await Deno.copyFile(await Deno.realPath("/bin/sleep"), path);
    await Deno.chmod(path, 0o700);
    const child = new Deno.Command(path, { args: ["60"] }).spawn();
    const found = identity.identityOf(child.pid);
    child.kill("SIGKILL");
    await child.status;
    assertExists(found);
    if (Deno.build.os === "linux") assert(/^\d+$/.test(found.startTicks), found.startTicks);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test({
  name: "identityOf() takes a zombie for gone",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // A shell that starts a child and then becomes a program that never collects it.
    const parent = new Deno.Command("sh", { args: ["-c", "sleep 60 & echo $!; exec sleep 60"], stdout: "piped" })
      .spawn();
    const reader = parent.stdout.getReader();
    const pid = Number(new TextDecoder().decode((await reader.read()).value));
    await deadline(untilStat(parent.pid, /^\d+ \(sleep\)/), 10_000);
    Deno.kill(pid, "SIGKILL");
    await deadline(untilStat(pid, /\) Z /), 10_000);
    const found = identity.identityOf(pid);
    parent.kill("SIGKILL");
    await parent.status;
    await reader.cancel();
    assertEquals(found, undefined);
  },
});

async function untilStat(pid: number, wanted: RegExp): Promise<void> {
  while (!wanted.test(await Deno.readTextFile(`/proc/${pid}/stat`))) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

Deno.test("identityOf() knows nothing of a pid that nobody has", () => {
  assertEquals(identity.identityOf(2 ** 30), undefined);
});
