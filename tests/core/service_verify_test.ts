/** What the service managers' own tools say of the definitions, where they are installed. */
import { assertEquals } from "@std/assert";
import { serviceDefinition } from "../../lib/core/service_unit.ts";
import { tempDirectory } from "../host/temp_directory.ts";

async function output(program: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, env }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

function has(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const ANALYZE = has("systemd-analyze");
const PLUTIL = Deno.build.os === "darwin";

Deno.test({
  name: `systemd-analyze verify accepts the unit, also with awkward paths${ANALYZE ? "" : " (skipped: not installed)"}`,
  ignore: !ANALYZE,
  async fn() {
    await using dir = await tempDirectory();
    const verify = async (name: string, text: string) => {
      const file = dir.at(`${name}.service`);
      await Deno.writeTextFile(file, text);
      return await output("systemd-analyze", ["--user", "--man=no", "verify", file], { XDG_RUNTIME_DIR: dir.path });
    };
    const names = ["plain", "two words", "100%h", "a$HOME b", 'it\'s "quoted" \\', "ünï <&>"];
    for (const [i, name] of names.entries()) {
      const program = dir.at(`${name}/drover`);
      await Deno.mkdir(dir.at(name));
      await Deno.copyFile("/bin/true", program);
      await Deno.chmod(program, 0o755);
      const text = serviceDefinition("systemd", {
        label: `drover-${i}`,
        home: dir.at(name),
        argv: [program, "daemon", "", name],
        env: { DROVER_HOME: dir.at(name), PATH: `/usr/bin:${dir.at(name)}` },
        launchLog: "/dev/null",
      });
      assertEquals(await verify(`drover-${i}`, text), { code: 0, text: "" }, text);
    }
    const { text } = await verify("broken", "[Service]\nStartLimitBurst=5\nNonsense=1\nExecStart=/bin/true\n");
    assertEquals(text.includes("Nonsense"), true, `it does look: ${text}`);
  },
});

Deno.test({
  name: `plutil accepts the property list${PLUTIL ? "" : " (skipped: macOS only)"}`,
  ignore: !PLUTIL,
  async fn() {
    await using dir = await tempDirectory();
    const file = dir.at("dev.drover.x.plist");
    await Deno.writeTextFile(
      file,
      serviceDefinition("launchd", {
        label: "dev.drover.x",
        home: "/a & b",
        argv: ["/a & b/drover", "daemon"],
        env: { PATH: "/a & b:<c>" },
        launchLog: "/a & b/out",
      }),
    );
    assertEquals((await output("plutil", ["-lint", file])).code, 0);
  },
});
