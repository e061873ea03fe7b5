/** The user's own skills: which are listed, and which of their files are ever sent. */
import { assertEquals, assertRejects } from "@std/assert";
import { dirname } from "@std/path";
import { createLocalSkills } from "../../lib/daemon/local_skills.ts";
import { createFiles } from "../../lib/host/files.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { keptLog } from "./kept_log.ts";

async function world(dir: TempDirectory, texts: Record<string, string>) {
  for (const [path, text] of Object.entries(texts)) {
    await Deno.mkdir(dirname(dir.at(path)), { recursive: true });
    await Deno.writeTextFile(dir.at(path), text);
  }
  const log = keptLog();
  return { log, skills: createLocalSkills(dir.path, "~/.agent/skills", createFiles(), log) };
}

Deno.test("LocalSkills lists folders with a SKILL.md by its head, and reads one with all its files", async () => {
  await using dir = await tempDirectory();
  const content = '---\nname: "Review"\ndescription: looks twice\n---\nbody';
  const { skills } = await world(dir, {
    "a/SKILL.md": content,
    "a/lib/x.txt": "X",
    "no-skill/x.txt": "",
    "b/SKILL.md": "",
  });
  const a = { name: "Review", description: "looks twice", source_path: "~/.agent/skills/a" };
  assertEquals(await skills.list(), [
    { key: "a", ...a, file_count: 2 },
    { key: "b", name: "b", description: "", source_path: "~/.agent/skills/b", file_count: 1 },
  ]);
  assertEquals(await skills.read("a"), { ...a, content, files: [{ path: "lib/x.txt", content: "X" }] });
  await assertRejects(() => skills.read("../a"), Error, "there is none");
});

Deno.test("LocalSkills never sends what is hidden: it may hold a credential", async () => {
  await using dir = await tempDirectory();
  const { skills } = await world(dir, {
    "a/SKILL.md": "x",
    "a/.git/config": "secret",
    "a/lib/.env": "secret",
    ".hidden/SKILL.md": "x",
  });
  assertEquals((await skills.list()).map(({ key, file_count }) => [key, file_count]), [["a", 1]]);
  assertEquals((await skills.read("a")).files, []);
});

Deno.test("LocalSkills leaves out a skill that is too large, says so, and lists the others", async () => {
  await using dir = await tempDirectory();
  const many = Array.from({ length: 64 }, (_, i) => [`big/modules/${i}`, ""]);
  const { skills, log } = await world(dir, { ...Object.fromEntries(many), "big/SKILL.md": "x", "a/SKILL.md": "x" });
  assertEquals((await skills.list()).map(({ key }) => key), ["a"]);
  assertEquals(log.records.map(({ level, fields }) => [level, fields.skill]), [["warn", "big"]]);
  await assertRejects(() => skills.read("big"), Error, "more than 64 files");
});
