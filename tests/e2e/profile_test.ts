/** Profiles, in both forms: a home each, found before and after the verb and by nested calls, and a list of them. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("each profile has a daemon of its own, and profiles lists them with their states"), async () => {
    await using home = await TestHome.create(form);
    const work = join(home.home, "profiles", "work");
    const started = await home.json(["--profile", "work", "start"]);
    try {
      assertEquals([started.code, started.value.home], [EXIT_CODES.ok.code, work]);
      assertEquals((await home.json(["status"])).code, EXIT_CODES.notRunning.code);
      for (const args of [["--profile=work", "status"], ["status", "--profile", "work"]]) {
        assertEquals((await home.json(args)).value.pid, started.value.pid, args.join(" "));
      }
      const env = { DROVER_PROFILE: "work" };
      assertEquals((await home.json(["status"], { env })).value.pid, started.value.pid);
      assertEquals((await home.json(["status", "--profile", "default"], { env })).code, EXIT_CODES.notRunning.code);

      await Deno.mkdir(join(home.home, "profiles", "play"));
      await Deno.mkdir(join(home.home, "profiles", "No Name"));
      const { value } = await home.json(["profiles"], { env });
      assertEquals(value.profiles, [
        { name: "default", state: "stopped", home: home.home, current: false },
        { name: "play", state: "stopped", home: join(home.home, "profiles", "play"), current: false },
        { name: "work", state: "running", home: work, current: true },
      ]);
      const { stdout } = await home.drover(["--profile", "work", "__complete", "profiles"]);
      const [, beginning = ""] = /^work\t(.+?)…?$/m.exec(stdout) ?? [];
      assert(beginning !== "" && work.startsWith(beginning), stdout);
    } finally {
      assertEquals((await home.drover(["stop", "--now", "--profile", "work"])).code, EXIT_CODES.ok.code);
    }
    await home.assertNoProcessLeft();
  });

  Deno.test(name("what an agent of a profile calls finds the same home"), async () => {
    await using home = await TestHome.create(form);
    await home.script(
      "claude",
      `[ "$1" = --version ] && { echo "2.1.0 (Claude Code)"; exit 0; }
drover status --json > "$DROVER_HOME/seen.json"
drover --profile play config list --json > "$DROVER_HOME/sibling.json"
printf '%s\\n' '{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"s"}'`,
    );
    const args = ["run", "--agent", "claude", "--scratch", "--profile", "work", "go"];
    const { code, stderr, stdout } = await home.drover(args, { env: { DROVER_PROFILE: "play" } });
    assertEquals(code, EXIT_CODES.ok.code, `${stdout}${stderr}`);
    const work = join(home.home, "profiles", "work");
    const seen = JSON.parse(await Deno.readTextFile(join(work, "seen.json")));
    assertEquals([seen.home, seen.mode], [work, "run"]);
    const sibling = JSON.parse(await Deno.readTextFile(join(work, "sibling.json")));
    assertEquals(sibling.file, join(home.home, "profiles", "play", "config.json"));
  });

  Deno.test(name("a profile that cannot be is refused before anything is made"), async () => {
    await using home = await TestHome.create(form);
    const { code, value } = await home.json(["start", "--profile", "../x"]);
    assertEquals([code, value.error.code], [EXIT_CODES.usage.code, "usage"]);
    assertEquals((await home.json(["start"], { env: { DROVER_PROFILE: "A" } })).code, EXIT_CODES.usage.code);
    assertEquals((await home.drover(["version"], { env: { DROVER_PROFILE: "A" } })).code, EXIT_CODES.ok.code);
    assertEquals(await Deno.stat(home.home).then(() => true, () => false), false);
  });
}
