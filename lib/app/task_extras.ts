/** What a task of `drover run` brings for its agent: instructions, skills and MCP servers, read and checked before it is queued. */
import { basename, join, resolve } from "@std/path";
import { DroverError } from "../core/drover_error.ts";
import { jsonFault } from "../core/json_fault.ts";
import { type Host, HostError } from "../core/ports.ts";
import type { CreateTask } from "../wire/control.ts";

export interface ExtrasWish {
  /** A file, or the text itself. */
  readonly instructions?: string;
  /** A file with an `mcpServers` object. */
  readonly mcpConfig?: string;
  /** Directories with a `SKILL.md`. */
  readonly skills: readonly string[];
}

export type Extras = Pick<CreateTask, "instructions" | "mcp_config" | "skills">;

const SKILL_LIMIT = { files: 500, bytes: 2 * 1024 * 1024 } as const;
const INSTRUCTIONS_LIMIT_BYTES = 256 * 1024;

/** Throws `usage`. */
export async function readExtras(host: Host, wish: ExtrasWish): Promise<Extras> {
  const { instructions, mcpConfig, skills } = wish;
  return {
    ...(instructions === undefined ? {} : { instructions: await readInstructions(host, instructions) }),
    ...(mcpConfig === undefined ? {} : { mcp_config: await readMcpConfig(host, mcpConfig) }),
    ...(skills.length === 0 ? {} : { skills: await Promise.all(skills.map((one) => readSkill(host, one))) }),
  };
}

function refuse(option: string, value: string, why: string, hint?: string): never {
  throw new DroverError("usage", `Cannot use --${option} ${value}: ${why}`, hint ? { hint } : {});
}

async function readInstructions(host: Host, value: string): Promise<string> {
  const path = resolve(host.system.cwd, value);
  // A text of several words may be longer than a path can be.
  const short = !/\s/.test(value);
  if (!short || !(await host.files.stat(path))?.isFile) {
    const meant = short && (value.includes("/") || /\.(md|txt)$/.test(value));
    if (meant) refuse("instructions", value, "there is no such file", "give a file, or the text itself in quotes");
    return value;
  }
  const text = await readText(host, "instructions", path);
  if (text.length <= INSTRUCTIONS_LIMIT_BYTES) return text;
  return refuse("instructions", value, `it is larger than ${INSTRUCTIONS_LIMIT_BYTES / 1024} KiB`);
}

async function readMcpConfig(host: Host, value: string): Promise<Record<string, unknown>> {
  const text = await readText(host, "mcp-config", resolve(host.system.cwd, value));
  const hint = 'it looks like {"mcpServers": {"NAME": {"command": "…", "args": []}}}';
  try {
    const config = JSON.parse(text) as { mcpServers?: unknown } | null;
    const servers = config?.mcpServers;
    if (typeof servers === "object" && servers !== null && !Array.isArray(servers)) return { mcpServers: servers };
  } catch {
    // Not the engine's words: they quote the text, and servers have tokens in it.
    const { line, column } = jsonFault(text) ?? { line: 1, column: 1 };
    refuse("mcp-config", value, `it is no JSON from line ${line}, column ${column} on`, hint);
  }
  return refuse("mcp-config", value, "it has no mcpServers object", hint);
}

async function readSkill(host: Host, value: string): Promise<NonNullable<Extras["skills"]>[number]> {
  const root = resolve(host.system.cwd, value);
  const files = await filesBelow(host, root, "");
  if (!files.includes("SKILL.md")) {
    refuse("skill", value, "there is no SKILL.md in it", "a skill is a directory with a SKILL.md");
  }
  if (files.length > SKILL_LIMIT.files) refuse("skill", value, `it has more than ${SKILL_LIMIT.files} files`);
  let bytes = 0;
  const read = async (path: string) => {
    const text = await readText(host, "skill", join(root, path));
    bytes += text.length;
    if (bytes > SKILL_LIMIT.bytes) refuse("skill", value, `it is larger than ${SKILL_LIMIT.bytes / 1024 / 1024} MiB`);
    return text;
  };
  const content = await read("SKILL.md");
  const others: { path: string; content: string }[] = [];
  for (const path of files.filter((path) => path !== "SKILL.md")) others.push({ path, content: await read(path) });
  return { name: basename(root), description: "", content, files: others };
}

/** Paths relative to `root`. Links to directories are left out: they may lead in a circle. */
async function filesBelow(host: Host, root: string, below: string): Promise<string[]> {
  const found: string[] = [];
  const names = await host.files.list(join(root, below)).catch((error) => {
    if (error instanceof HostError) return [];
    throw error;
  });
  for (const name of names) {
    const path = below ? `${below}/${name}` : name;
    if (name === ".git" || found.length > SKILL_LIMIT.files) continue;
    const info = await host.files.stat(join(root, path), { link: true });
    if (info?.isDirectory) found.push(...await filesBelow(host, root, path));
    else if ((await host.files.stat(join(root, path)))?.isFile) found.push(path);
  }
  return found;
}

async function readText(host: Host, option: string, path: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await host.files.readBytes(path));
  } catch (error) {
    if (error instanceof HostError) refuse(option, path, error.message);
    return refuse(option, path, "it is no text in UTF-8");
  }
}
