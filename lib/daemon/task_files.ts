/** What a task brings for its agent besides the prompt: the brief, skills and MCP servers, each where the CLI looks for it. */
import { join, relative } from "@std/path";
import type { ProviderRow } from "../agents/provider_row.ts";
import type { McpServer } from "../core/model.ts";
import type { Env } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import { briefText, type TeamServer, withBlock, withoutBlock } from "./brief.ts";
import { type GitPorts, WorkdirError } from "./git.ts";
import { type HiddenFromGit, hideFromGit } from "./hidden_from_git.ts";
import { type McpConfig, mcpConfigOf, withServers } from "./mcp_config.ts";
import { type FilePlan, type FolderPlan, placeFiles, type PlacePlan } from "./placed_files.ts";
import { skillFolders } from "./skills.ts";

/** What a row says of it. */
export type Surface =
  & Pick<ProviderRow, "title" | "brief" | "skills" | "mcp" | "privateHome">
  & Partial<Pick<ProviderRow, "permissions">>;

export interface TaskFiles {
  /** For the beginning of the prompt; empty where the CLI reads a file. */
  readonly brief: string;
  readonly mcpServers?: readonly McpServer[];
  readonly mcpConfigFile?: string;
  /** For the agent. */
  readonly env: Env;
  /** Something has to be taken out after the run. */
  readonly placed: boolean;
  /** After it was taken out. */
  settle(): Promise<void>;
  /** What people should know: something they asked for and did not get. */
  readonly remarks: readonly string[];
}

export interface TaskFilesOptions extends GitPorts {
  /** Absent: nothing is known of the CLI. */
  readonly surface?: Surface;
  readonly directory: string;
  /** The run's own directory in the home. */
  readonly record: string;
  /** The task is of a team's server. */
  readonly team?: TeamServer;
}

/** Throws `WorkdirError` or `HostError`; what was placed until then is in the record. */
export async function prepareTaskFiles(task: ClaimedTask, options: TaskFilesOptions): Promise<TaskFiles> {
  const brief = await planBrief(task, options);
  const skills = await planSkills(task, options);
  const mcp = await planMcp(task, options);
  const plan = {
    directory: options.directory,
    files: [brief.file, mcp.file].filter((file) => file !== undefined),
    folders: skills.folders,
  };
  const inDirectory = plan.files.length + plan.folders.length > 0;
  const hidden = inDirectory ? await place(plan, options) : NOTHING_HIDDEN;
  const placed = inDirectory || mcp.forAgent.mcpConfigFile !== undefined;
  return { brief: brief.inPrompt, ...hidden, placed, remarks: [...skills.remarks, ...mcp.remarks], ...mcp.forAgent };
}

const NOTHING_HIDDEN: HiddenFromGit = { env: {}, settle: () => Promise.resolve() };

async function place(plan: PlacePlan, options: TaskFilesOptions): Promise<HiddenFromGit> {
  await placeFiles(options.record, plan, options.files);
  return await hideFromGit(options.record, plan, options);
}

/** Where nothing may be changed nothing is. */
function untouchable({ directory, permission }: ClaimedTask): boolean {
  return directory?.mode === "in-place" && permission === "read-only";
}

/**
 * A file of the user's is only touched for what somebody wrote for this agent, never for what drover says to all. With
 * read-only the brief comes with the prompt: some CLIs then read no file of their directory.
 */
async function planBrief(
  task: ClaimedTask,
  options: TaskFilesOptions,
): Promise<{ inPrompt: string; file?: FilePlan }> {
  const { surface, directory, team } = options;
  const instructions = task.agent?.instructions ?? "";
  const meant = instructions.trim() !== "";
  const text = briefText(instructions, team);
  const inPrompt = { inPrompt: meant || team ? text : "" };
  const theirs = task.directory?.mode === "in-place";
  if (!surface?.brief || task.permission === "read-only") return inPrompt;
  const found = await readPlain(join(directory, surface.brief), options);
  if (found === "unfit") return inPrompt;
  if (!meant && (theirs || found.bytes)) return inPrompt;
  const original = found.bytes && withoutBlock(found.bytes);
  const bytes = withBlock(original ?? new Uint8Array(), text);
  return { inPrompt: "", file: { path: found.path, original, bytes, mode: 0o644, strip: { kind: "block" } } };
}

/** The file at the end of a link, which must lie in the directory. `unfit`: a place where nothing can be written. */
async function readPlain(
  path: string,
  { files, directory }: TaskFilesOptions,
): Promise<"unfit" | { path: string; bytes?: Uint8Array }> {
  const link = await files.stat(path, { link: true });
  if (!link) return { path };
  const info = await files.stat(path);
  if (!info?.isFile) return "unfit";
  if (!link.isSymlink) return { path, bytes: await files.readBytes(path) };
  const real = await files.realPath(path);
  const way = relative(await files.realPath(directory), real);
  return way.startsWith("..") ? "unfit" : { path: real, bytes: await files.readBytes(real) };
}

async function planSkills(
  task: ClaimedTask,
  { surface, directory, files }: TaskFilesOptions,
): Promise<{ folders: FolderPlan[]; remarks: string[] }> {
  const wanted = skillFolders(task.agent?.skills ?? []);
  const none = (why: string) => ({
    folders: [],
    remarks: wanted.map(({ name }) => `the skill ${name} is left out: ${why}`),
  });
  if (!surface?.skills) return none(`${surface?.title ?? "this agent"} has no folder for skills`);
  if (surface.permissions?.[task.permission]?.withoutProject) {
    return none(`with the permission ${task.permission} ${surface.title} looks for none`);
  }
  if (untouchable(task)) return none(`with the permission ${task.permission} nothing is placed in ${directory}`);
  const folders: FolderPlan[] = [];
  const remarks: string[] = [];
  for (const skill of wanted) {
    const path = join(directory, surface.skills, skill.name);
    if (await files.stat(path, { link: true })) {
      remarks.push(`the skill ${skill.name} is left out: ${path} is there already`);
    } else folders.push({ path, files: skill.files });
  }
  return { folders, remarks };
}

interface McpPlan {
  readonly forAgent: Pick<TaskFiles, "mcpServers" | "mcpConfigFile">;
  readonly remarks: readonly string[];
  readonly file?: FilePlan;
}

async function planMcp(task: ClaimedTask, options: TaskFilesOptions): Promise<McpPlan> {
  const config = mcpConfigOf(task.agent?.mcp_config);
  if (!config) return { forAgent: {}, remarks: [] };
  const { surface, record, files } = options;
  const { servers: mcpServers, entries } = config;
  const unusable = config.unusable.map((name) =>
    `the MCP server ${name} is left out: its entry has neither a command nor a URL`
  );
  const how = surface?.mcp ?? "none";
  const none = (why: string) => ({
    forAgent: {},
    remarks: [...unusable, ...Object.keys(entries).map((name) => `the MCP server ${name} is left out: ${why}`)],
  });
  if (how === "none") return none(`${surface?.title ?? "this agent"} takes none`);
  if (typeof how === "object" && untouchable(task)) {
    return none(`with the permission ${task.permission} nothing is placed in ${options.directory}`);
  }
  if (typeof how === "object") {
    return { forAgent: { mcpServers }, remarks: unusable, file: await mergedFile(how.file, config, options) };
  }
  if (how === "protocol") return { forAgent: { mcpServers }, remarks: unusable };
  // Outside of the work directory, and for the user alone: it may hold keys.
  const mcpConfigFile = join(record, "mcp.json");
  await files.makeDirectory(record);
  await files.writeAtomic(mcpConfigFile, JSON.stringify({ mcpServers: entries }), { sync: false });
  return { forAgent: { mcpServers, mcpConfigFile }, remarks: unusable };
}

async function mergedFile(name: string, config: McpConfig, options: TaskFilesOptions): Promise<FilePlan | undefined> {
  const path = join(options.directory, name);
  const found = await readPlain(path, options);
  const refused = (why: string) =>
    new WorkdirError(`Cannot add MCP servers to ${path}: ${why}; move it away, or run the task without MCP servers`);
  if (found === "unfit") throw refused("it is no plain file inside the directory");
  const merged = withServers(new TextDecoder().decode(found.bytes), config.entries);
  if (merged === undefined) throw refused("it does not hold a JSON object");
  return {
    path: found.path,
    original: found.bytes,
    bytes: new TextEncoder().encode(merged),
    mode: 0o600,
    strip: { kind: "servers", entries: config.entries },
  };
}
