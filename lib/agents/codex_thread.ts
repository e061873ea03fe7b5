/** With which rights and servers a thread of Codex is opened, and whether it got them. */
import type { AgentTask, McpServer, Permission } from "../core/model.ts";
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "./json_fields.ts";

interface Rights {
  readonly approvalPolicy: string;
  readonly sandbox: "read-only" | "workspace-write" | "danger-full-access";
}

/**
 * `untrusted` asks about every command that is not known to change nothing; inside a sandbox only what wants to leave
 * it is asked about. Under `never` a read-only thread is refused what it would have to ask for.
 */
const RIGHTS: Readonly<Record<Permission, { readonly free: Rights; readonly sandboxed: Rights }>> = {
  full: {
    free: { approvalPolicy: "never", sandbox: "danger-full-access" },
    sandboxed: { approvalPolicy: "never", sandbox: "workspace-write" },
  },
  ask: {
    free: { approvalPolicy: "untrusted", sandbox: "danger-full-access" },
    sandboxed: { approvalPolicy: "on-request", sandbox: "workspace-write" },
  },
  "read-only": {
    free: { approvalPolicy: "never", sandbox: "read-only" },
    sandboxed: { approvalPolicy: "never", sandbox: "read-only" },
  },
};

/** For `thread/start` and `thread/resume` alike. */
export function threadParams(task: AgentTask, options: { distrustProject: boolean }): JsonRecord {
  const servers = (task.mcpServers ?? []).map(serverConfig).filter((server) => server !== undefined);
  const config = {
    ...(servers.length > 0 ? { mcp_servers: Object.fromEntries(servers) } : {}),
    ...(options.distrustProject ? { projects: { [task.cwd]: { trust_level: "untrusted" } } } : {}),
  };
  return {
    cwd: task.cwd,
    ...RIGHTS[task.permission][task.sandbox ? "sandboxed" : "free"],
    // Of the person who follows the task, not of another model.
    approvalsReviewer: "user",
    ...(task.model ? { model: task.model } : {}),
    ...(Object.keys(config).length > 0 ? { config } : {}),
  };
}

/** Servers that cannot be reached, by name. */
export function unreachableServers(task: AgentTask): readonly string[] {
  return (task.mcpServers ?? []).filter((server) => !serverConfig(server)).map(({ name }) => name);
}

function serverConfig(server: McpServer): [string, JsonRecord] | undefined {
  // Other characters are not allowed in a name.
  const name = server.name.replaceAll(/[^A-Za-z0-9_-]/g, "_");
  switch (server.kind) {
    case "stdio":
      return [name, { command: server.command, args: server.args, env: server.env }];
    case "http":
      return [name, { url: server.url, http_headers: server.headers }];
    case "sse":
      return undefined;
  }
}

/**
 * Of an answer to `config/read`: whether settings that lie in the project are in force. Their rules and hooks run
 * commands outside of any sandbox.
 */
export function trustsProject(result: JsonRecord): boolean {
  return listOf(result.layers).map(recordOf)
    .some(({ name, disabledReason }) => recordOf(name).type === "project" && !disabledReason);
}

/** What the thread may do beyond what was asked for; `undefined` when nothing. Settings of an administrator can change both. */
export function excessRights(permission: Permission, opened: JsonRecord): string | undefined {
  const { sandbox, approvalPolicy } = opened;
  const kind = isRecord(sandbox) ? textOf(sandbox.type) : textOf(sandbox);
  if (permission === "read-only" && kind !== "readOnly") return `its sandbox is ${kind || "unknown"}`;
  if (permission === "ask" && approvalPolicy === "never") return "it never asks";
  return undefined;
}
