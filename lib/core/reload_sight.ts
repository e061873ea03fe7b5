/** What is seen of all files of one program together: the program is there only when every file it needs is. */
import type { FileMark, Look } from "./ports.ts";
import type { Sight } from "./reload.ts";

/**
 * What a file is to a program. `program`: the system starts it; `code`: something that is started reads it; `shim`: it is
 * started and chooses another that does the work; `hint`: it may be missing, and may have a say in what is chosen.
 */
export type FileRole = "program" | "code" | "shim" | "hint";

interface RoleRule {
  readonly required: boolean;
  readonly executable: boolean;
  /** Other bytes are another program; of the others a new mark only makes it worth asking for the version. */
  readonly hashed: boolean;
}

export const ROLES: Readonly<Record<FileRole, RoleRule>> = {
  program: { required: true, executable: true, hashed: true },
  code: { required: true, executable: false, hashed: true },
  shim: { required: true, executable: true, hashed: false },
  hint: { required: false, executable: false, hashed: false },
};

export interface SeenFile {
  readonly role: FileRole;
  readonly look: Look;
}

/** Without a digest: whether one is needed is `needsHash`'s to say. No files at all are a program that is missing. */
export function sightOf(files: readonly SeenFile[]): Sight {
  const marks: unknown[] = [];
  let unreadable: string | undefined;
  let startable = true;
  for (const { role, look } of files) {
    const rule = ROLES[role];
    if (look.kind === "missing" || look.kind === "unreadable") {
      if (rule.required && look.kind === "missing") return { kind: "missing" };
      if (rule.required && look.kind === "unreadable") unreadable ??= look.why;
      marks.push(null);
      continue;
    }
    if (rule.executable && look.kind === "not-executable") startable = false;
    marks.push(facts(look.mark));
  }
  if (!startable) return { kind: "not-executable" };
  if (unreadable !== undefined) return { kind: "unreadable", why: unreadable };
  return marks.length === 0 ? { kind: "missing" } : { kind: "seen", mark: JSON.stringify(marks) };
}

/** In one order, whoever made the mark. */
function facts({ realPath, dev, ino, size, mtimeMs, ctimeMs, mode }: FileMark): unknown[] {
  return [realPath, dev, ino, size, mtimeMs, ctimeMs, mode];
}
