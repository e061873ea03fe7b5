/** The commands that the brief shows to a team's agent: they work in a shell as they stand, and keep the token out of arguments. */
import { assert, assertEquals } from "@std/assert";
import { briefText } from "../../lib/daemon/brief.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { placeScript } from "../support/program_file.ts";

const TOKEN = "mat_0123456789";

async function realCurl(): Promise<string> {
  const { stdout } = await new Deno.Command("/bin/sh", { args: ["-c", "command -v curl"] }).output();
  return new TextDecoder().decode(stdout).trim();
}

const curl = await realCurl();

Deno.test({
  name: "briefText() shows commands that read, comment and set a status with the task's token",
  // Without curl there is nothing to run them with.
  ignore: curl === "",
  async fn() {
    await using dir = await tempDirectory();
    const calls: string[] = [];
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      assertEquals(request.headers.get("authorization"), `Bearer ${TOKEN}`);
      calls.push(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`);
      return Response.json({ ok: true });
    });
    await Deno.mkdir(dir.at("bin"));
    await placeScript(dir.at("bin/curl"), `#!/bin/sh\necho "$@" >>'${dir.at("args")}'\nexec '${curl}' "$@"\n`);
    const commands = briefText("", "with-token").split("\n").filter((line) => line.startsWith("      "));
    const { success, stderr } = await new Deno.Command("/bin/sh", {
      args: ["-ec", commands.join("\n")],
      clearEnv: true,
      env: {
        PATH: `${dir.at("bin")}:/usr/bin:/bin`,
        DROVER_TOKEN: TOKEN,
        DROVER_SERVER_URL: `http://127.0.0.1:${server.addr.port}`,
      },
      stdout: "null",
      stderr: "piped",
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(calls, [
      "GET /api/issues/ID ",
      "GET /api/issues/ID/comments ",
      'POST /api/issues/ID/comments {"content":"TEXT"}',
      'PUT /api/issues/ID {"status":"STATUS"}',
    ]);
    assert(!(await Deno.readTextFile(dir.at("args"))).includes(TOKEN));
  },
});
