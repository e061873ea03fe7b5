/** Skills of a claim: where their files may go, and what agents find at their head. */
import { assertEquals, assertThrows } from "@std/assert";
import { WorkdirError } from "../../lib/daemon/git.ts";
import { plainSkill, skillFolders } from "../../lib/daemon/skills.ts";

const skill = (change: Record<string, unknown>) => ({
  name: "demo",
  description: "d",
  content: "x",
  files: [],
  ...change,
});

Deno.test("skillFolders() makes a folder of each skill, with a head where there is none", () => {
  const files = [{ path: "./lib/a.txt", content: "A" }, { path: "b/ü.txt", content: "é" }];
  assertEquals(skillFolders([skill({ name: "Code review", files }), skill({ content: "---\nname: demo\n---\nx" })]), [
    {
      name: "Code-review",
      files: [
        { path: "SKILL.md", content: '---\nname: "Code review"\ndescription: "d"\n---\n\nx' },
        { path: "lib/a.txt", content: "A" },
        { path: "b/ü.txt", content: "é" },
      ],
    },
    { name: "demo", files: [{ path: "SKILL.md", content: "---\nname: demo\n---\nx" }] },
  ]);
});

Deno.test("skillFolders() refuses whatever would lead out of the folder", () => {
  const refused = (change: Record<string, unknown>, words: string) =>
    assertThrows(() => skillFolders([skill(change)]), WorkdirError, words);
  for (const name of ["", "..", ".", "../up", "a/b", "/etc", ".hidden", "a\\b", "a\nb/..", "x".repeat(101)]) {
    refused({ name }, "name of a folder");
  }
  for (const path of ["", "..", "../x", "a/../../x", "/etc/passwd", ".", "a/", "SKILL.md", "a\\..\\x", "a\0b"]) {
    refused({ files: [{ path, content: "" }] }, "inside the skill's folder");
  }
  assertThrows(() => skillFolders([skill({}), skill({ name: " demo " })]), WorkdirError, "two skills");
});

Deno.test("plainSkill() leaves texts to read: a head of name and description, and no command that runs unasked", () => {
  const head = "---\nname: other\nallowed-tools: Bash(*)\nhooks:\n  Stop:\n    - command: evil\n---\n";
  const { skill: plain, cut } = plainSkill(skill({
    content: `${head}See !\`evil\` now:\n\`\`\`!\nevil\n\`\`\`\n---\nWow!`,
    files: [
      { path: "more/SKILL.md", content: "---\r\nmodel: x\r\n---\r\n!`evil`" },
      { path: "two/skill.MD", content: "---\n---\n---\nhooks: {}\n---\nx" },
      { path: "x.sh", content: "---\na: b\n---\n!`x`" },
    ],
  }));
  assertEquals(cut, ["allowed-tools", "hooks", "model"]);
  assertEquals(skillFolders([plain])[0]!.files, [
    {
      path: "SKILL.md",
      content: '---\nname: "demo"\ndescription: "d"\n---\n\nSee ! `evil` now:\n```text \nevil\n```\n---\nWow!',
    },
    { path: "more/SKILL.md", content: "! `evil`" },
    { path: "two/skill.MD", content: "(text)\n\n---\nhooks: {}\n---\nx" },
    { path: "x.sh", content: "---\na: b\n---\n!`x`" },
  ]);
  const harmless = ["", "x", "---\nname: n\ndescription: d\n---\nx", "---\nhooks: never closed"];
  for (const content of harmless) assertEquals(plainSkill(skill({ content })).cut, []);
  assertEquals(
    plainSkill(skill({ content: "---\n---\nx" })).skill.content,
    '---\nname: "demo"\ndescription: "d"\n---\n\nx',
  );
  assertEquals(
    plainSkill(skill({ content: "---\nhooks: never closed" })).skill.content,
    '---\nname: "demo"\ndescription: "d"\n---\n\n---\nhooks: never closed',
  );
});
