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

const HEAD = /^---\r?\n(?:([\s\S]*?)\r?\n)??---[ \t]*(?:\r?\n|$)/;

/**
 * The skill with nothing but texts to read: keys of its head may allow it tools or start something, and so do commands
 * that its reader is to run before it reads on. `cut`: the keys that are gone.
 */
export function plainSkill(skill: Skill): { readonly skill: Skill; readonly cut: readonly string[] } {
  const texts = [skill.content, ...skill.files.filter(isText).map(({ content }) => content)];
  const keys = texts.flatMap((text) => [...(HEAD.exec(text)?.[1] ?? "").matchAll(/^["']?([\w-]+)["']?[ \t]*:/gm)]);
  const files = skill.files.map((file) => isText(file) ? { ...file, content: headless(file.content) } : file);
  return {
    skill: { ...skill, content: headOf(skill) + withoutOrders(skill.content).trimStart(), files },
    cut: [...new Set(keys.map(([, key]) => key!))].filter((key) => key !== "name" && key !== "description"),
  };
}

function isText({ path }: Skill["files"][number]): boolean {
  return /\.(?:md|mdc|markdown)$/i.test(path);
}

/** What is left of a text must not be taken for a head in its turn. */
function headless(text: string): string {
  const rest = withoutOrders(text);
  return /^\s*---/.test(rest) ? `(text)\n\n${rest}` : rest;
}

/** A space is enough for a command to be no more than a text about one; a fence is told to hold a text. */
function withoutOrders(text: string): string {
  return text.replace(HEAD, "").replace(/(`{3,}|~{3,})[ \t]*!/g, "$1text ").replace(/!(?=`)/g, "! ");
}

/** Agents list skills by the name and description in the head; without one they pass a skill over. */
function withHead(skill: Skill): string {
  return /^---\r?\n/.test(skill.content) ? skill.content : headOf(skill) + skill.content;
}

function headOf({ name, description }: Skill): string {
  return `---\nname: ${JSON.stringify(name)}\ndescription: ${JSON.stringify(description || name)}\n---\n\n`;
}
