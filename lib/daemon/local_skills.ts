/** The user's own skills of an agent CLI: listed by their heads, and read in full when one is asked for. */
import type { Files, Logger } from "../core/ports.ts";

/** Of one skill, and of all its files together; a larger one is no skill that anybody wants in a prompt. */
const MAX_FILES = 64;
const MAX_BYTES = 1024 * 1024;
const MAX_SKILLS = 200;

export interface SkillHead {
  /** The name of its folder. */
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly source_path: string;
  readonly file_count: number;
}

export interface SkillText {
  readonly name: string;
  readonly description: string;
  readonly content: string;
  readonly source_path: string;
  readonly files: readonly { readonly path: string; readonly content: string }[];
}

export interface LocalSkills {
  /** Without those that cannot be read. */
  list(): Promise<readonly SkillHead[]>;
  /** Rejects for one that is not there, or too large. */
  read(key: string): Promise<SkillText>;
}

/** `shown`: the folder as people know it, without the name of the user. */
export function createLocalSkills(folder: string, shown: string, files: Files, log: Logger): LocalSkills {
  const main = (key: string) => `${folder}/${key}/SKILL.md`;
  const keys = async () => {
    if (!(await files.stat(folder))?.isDirectory) return [];
    const found: string[] = [];
    for (const name of await visible(files, folder)) {
      if ((await files.stat(main(name)))?.isFile && found.length < MAX_SKILLS) found.push(name);
    }
    return found;
  };
  return {
    async list() {
      const heads = (await keys()).map(async (key) => {
        try {
          const head = headOf(key, await files.readText(main(key)));
          const inner = await pathsIn(files, `${folder}/${key}`);
          return [{ key, ...head, source_path: `${shown}/${key}`, file_count: inner.length }];
        } catch (error) {
          log.warn("a skill is left out of the list", { skill: key, why: (error as Error).message });
          return [];
        }
      });
      return (await Promise.all(heads)).flat();
    },
    async read(key) {
      if (!(await keys()).includes(key)) throw new Error(`Cannot read the skill "${key}": there is none in ${shown}`);
      const content = await files.readText(main(key));
      const others: { path: string; content: string }[] = [];
      let bytes = content.length;
      for (const path of await pathsIn(files, `${folder}/${key}`)) {
        if (path === "SKILL.md") continue;
        const { size = 0 } = await files.stat(`${folder}/${key}/${path}`) ?? {};
        bytes += size;
        if (bytes > MAX_BYTES) throw new Error(`Cannot read the skill "${key}": it has more than ${MAX_BYTES} bytes`);
        others.push({ path, content: await files.readText(`${folder}/${key}/${path}`) });
      }
      return { ...headOf(key, content), content, source_path: `${shown}/${key}`, files: others };
    },
  };
}

/** What is hidden is no part of a skill, and often holds a credential, as `.env` and `.git/config` do. */
async function visible(files: Files, folder: string): Promise<string[]> {
  return (await files.list(folder)).filter((name) => !name.startsWith("."));
}

/** Links are not followed: one may lead to what is nobody's skill. */
async function pathsIn(files: Files, folder: string, inner = ""): Promise<string[]> {
  const paths: string[] = [];
  for (const name of await visible(files, `${folder}/${inner}`)) {
    const path = `${inner}${name}`;
    const info = await files.stat(`${folder}/${path}`, { link: true });
    if (info?.isDirectory) paths.push(...await pathsIn(files, folder, `${path}/`));
    else if (info?.isFile) paths.push(path);
    if (paths.length > MAX_FILES) throw new Error(`Cannot read ${folder}: it has more than ${MAX_FILES} files`);
  }
  return paths;
}

/** The lines between the first two `---`; what they say more is for the CLI. */
function headOf(key: string, content: string): { name: string; description: string } {
  const [, head = ""] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(content) ?? [];
  const field = (name: string) => {
    const [, value = ""] = new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(head) ?? [];
    return value.trim().replace(/^(["'])(.*)\1$/, "$2");
  };
  return { name: field("name") || key, description: field("description") };
}
