/** What a run brings for its agent: real files, and refusals that say what to do. */
import { assertEquals, assertRejects } from "@std/assert";
import { type ExtrasWish, readExtras } from "../../lib/app/task_extras.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

const read = (cwd: string, wish: Partial<ExtrasWish>) => readExtras(testHost({ cwd }).host, { skills: [], ...wish });

Deno.test("readExtras() brings nothing when nothing was asked for", async () => {
  assertEquals(await read("/", {}), {});
});

Deno.test("readExtras() takes instructions from a file or as they are, and notices a name that is mistyped", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("rules.md"), "Be brief.\n");
  const take = async (instructions: string) => (await read(dir.path, { instructions })).instructions;
  assertEquals(await take("rules.md"), "Be brief.\n");
  assertEquals(await take(dir.at("rules.md")), "Be brief.\n");
  assertEquals(await take("Never use rules.md"), "Never use rules.md");
  assertEquals(await take("brief"), "brief");
  for (const typo of ["rule.md", "./none", dir.at("none")]) {
    await assertRejects(() => take(typo), DroverError, "no such file");
  }
  await Deno.writeFile(dir.at("binary"), new Uint8Array([255, 254, 0]));
  await assertRejects(() => take("binary"), DroverError, "UTF-8");
});

Deno.test("readExtras() takes MCP servers from a file of JSON", async () => {
  await using dir = await tempDirectory();
  const take = async (text: string) => {
    await Deno.writeTextFile(dir.at("mcp.json"), text);
    return (await read(dir.path, { mcpConfig: "mcp.json" })).mcp_config;
  };
  const servers = { mcpServers: { tools: { command: "tools" } } };
  assertEquals(await take(JSON.stringify({ ...servers, other: 1 })), servers);
  for (const [text, place] of [["{", "line 1, column 2"], ['\n{"env": "s3cret', "line 2, column 9"]] as const) {
    const { message } = await assertRejects(() => take(text), DroverError, `it is no JSON from ${place} on`);
    assertEquals(message.includes("s3cret"), false, message);
  }
  for (const text of ["null", "[]", "{}", '{"mcpServers":[]}']) {
    await assertRejects(() => take(text), DroverError, "no mcpServers object");
  }
  await assertRejects(() => read(dir.path, { mcpConfig: "none" }), DroverError, "Cannot read");
});

Deno.test("readExtras() takes a skill with all its files, and nothing of git or of linked directories", async () => {
  await using dir = await tempDirectory();
  const skill = dir.at("review");
  await Deno.mkdir(`${skill}/lib/.git`, { recursive: true });
  await Deno.writeTextFile(`${skill}/SKILL.md`, "how");
  await Deno.writeTextFile(`${skill}/lib/x.sh`, "echo");
  await Deno.writeTextFile(`${skill}/lib/.git/HEAD`, "");
  await Deno.symlink("..", `${skill}/lib/round`);
  assertEquals((await read(dir.path, { skills: ["review"] })).skills, [
    { name: "review", description: "", content: "how", files: [{ path: "lib/x.sh", content: "echo" }] },
  ]);
  for (const wrong of ["none", "review/lib"]) {
    await assertRejects(() => read(dir.path, { skills: [wrong] }), DroverError, "no SKILL.md");
  }
});
