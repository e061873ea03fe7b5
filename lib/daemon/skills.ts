/** The skills of a claim as files to write: names that stay inside their folder, and a head that agents can read. */
import { isAbsolute, normalize } from "@std/path";
import type { Skill } from "../wire/payloads.ts";
import { WorkdirError } from "./git.ts";

export interface SkillFolder {
  /** One path segment. */
  readonly name: string;
  /** Paths relative to the folder. */
  readonly files: readonly { readonly path: string; readonly content: string }[];
}

/** Throws `WorkdirError`: a name that leads elsewhere is an attack or a mistake, and the task must not run without its skill. */
export function skillFolders(skills: readonly Skill[]): SkillFolder[] {
  const folders = skills.map((skill) => ({
    name: folderName(skill.name),
    files: [
      { path: "SKILL.md", content: withHead(skill) },
      ...skill.files.map(({ path, content }) => ({ path: innerPath(skill.name, path), content })),
    ],
  }));
  const twice = folders.find(({ name }, i) => folders.findIndex((other) => other.name === name) < i);
  if (twice) throw new WorkdirError(`Cannot place the skill "${twice.name}": two skills of this agent have that name`);
  return folders;
}

function folderName(name: string): string {
  const folder = name.trim().replace(/\s+/g, "-");
  if (/^[\p{L}\p{N}_][\p{L}\p{N}._-]{0,99}$/u.test(folder)) return folder;
  throw new WorkdirError(
    `Cannot place the skill "${name}": it cannot be the name of a folder; use letters, digits, dots and dashes`,
  );
}

function innerPath(skill: string, path: string): string {
  const inner = normalize(path);
  const leaves = path === "" || isAbsolute(path) || inner === "." || inner === ".." || inner.startsWith("../");
  if (!leaves && !/[\0\\]/.test(path) && !inner.endsWith("/") && inner !== "SKILL.md") return inner;
  throw new WorkdirError(`Cannot place the skill "${skill}": its file "${path}" must lie inside the skill's folder`);
}

/** Agents list skills by the name and description in the head; without one they pass a skill over. */
function withHead({ name, description, content }: Skill): string {
  if (/^---\r?\n/.test(content)) return content;
  const head = [`name: ${JSON.stringify(name)}`, `description: ${JSON.stringify(description || name)}`];
  return `---\n${head.join("\n")}\n---\n\n${content}`;
}
