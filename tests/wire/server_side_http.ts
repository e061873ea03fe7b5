/** A running server as the server's side of a conformance test: the routes that people use over HTTP, whoever answers there. */
import type { Endpoint } from "../daemon/team_daemon.ts";
import { NotOffered, type ServerSide, type SideTask } from "./server_side.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

export interface HttpSideOptions {
  readonly name: string;
  /** The token is a user's, who may do there what people do. */
  readonly endpoint: Endpoint & { readonly token: string };
  /** By name or id, for a token that opens several. */
  readonly workspace?: string;
  readonly close?: () => Promise<void>;
}

export class HttpSide implements ServerSide {
  readonly name: string;
  readonly endpoint: ServerSide["endpoint"];
  readonly #options: HttpSideOptions;
  /** Each task's issue. */
  readonly #issues = new Map<string, string>();

  constructor(options: HttpSideOptions) {
    this.name = options.name;
    this.endpoint = options.endpoint;
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.close?.();
  }

  async runtimes() {
    const rows = listOf(await this.#ask("GET", "/api/runtimes"), "runtimes");
    return rows.map(({ id, provider, status }) => ({ id, provider, online: status === "online" }));
  }

  async setCap(runtime: string, cap: number): Promise<void> {
    await this.#ask("PATCH", `/api/agents/${await this.#agentOf(runtime)}`, { max_concurrent_tasks: cap });
  }

  /** A new issue for the agent, or one more word about one. */
  async enqueue(runtime: string, { after }: { after?: string } = {}): Promise<string> {
    const agent = await this.#agentOf(runtime);
    const issue = after === undefined
      ? (await this.#ask("POST", "/api/issues", { title: "A title", assignee_type: "agent", assignee_id: agent })).id
      : await this.#issueOf(after);
    const before = new Set(after === undefined ? [] : (await this.#tasksOf(issue)).map(({ id }) => id));
    if (after !== undefined) await this.#ask("POST", `/api/issues/${issue}/comments`, { content: "And more of it." });
    const task = (await this.#tasksOf(issue)).find(({ id }) => !before.has(id));
    if (!task) throw new Error(`${this.name} made no task for the issue ${issue}`);
    this.#issues.set(task.id, issue);
    return task.id;
  }

  async cancel(task: string): Promise<void> {
    await this.#ask("POST", `/api/tasks/${task}/cancel`);
  }

  async task(id: string): Promise<SideTask> {
    const { status, attempt, result, failure_reason, session_id, work_dir } = await this.#ask(
      "GET",
      `/api/tasks/${id}`,
    );
    return {
      id,
      status,
      attempt,
      output: result?.output ?? "",
      failureReason: failure_reason ?? "",
      sessionId: session_id ?? "",
      workDir: work_dir ?? "",
    };
  }

  async repeated(task: string): Promise<string | undefined> {
    const tasks = await this.#tasksOf(await this.#issueOf(task));
    return tasks.find(({ parent_task_id }) => parent_task_id === task)?.id;
  }

  async messages(task: string) {
    const rows = listOf(await this.#ask("GET", `/api/tasks/${task}/messages`), "messages");
    return rows.map(({ seq, content }) => ({ seq, content: content ?? "" }));
  }

  async usage(task: string) {
    const rows = listOf(await this.#ask("GET", `/api/tasks/${task}/usage`), "usage");
    return rows.map(({ model, input_tokens: input, output_tokens: output }) => ({ model, input, output }));
  }

  async deleteRuntime(id: string): Promise<void> {
    await this.#ask("DELETE", `/api/runtimes/${id}`);
  }

  async addProfile(name: string, provider: string): Promise<string> {
    // Another run may have left one of that name.
    const display_name = `${name} ${crypto.randomUUID().slice(0, 8)}`;
    const profile = { display_name, protocol_family: provider, command_name: "acme" };
    return (await this.#ask("POST", await this.#profiles(), profile)).id;
  }

  async enableProfile(id: string, enabled: boolean): Promise<void> {
    await this.#ask("PATCH", `${await this.#profiles()}/${id}`, { enabled });
  }

  async deleteProfile(id: string): Promise<void> {
    await this.#ask("DELETE", `${await this.#profiles()}/${id}`);
  }

  async #profiles(): Promise<string> {
    const all = listOf(await this.#ask("GET", "/api/workspaces"), "workspaces");
    const { workspace } = this.#options;
    const meant = workspace === undefined ? all[0] : all.find(({ id, name }) => [id, name].includes(workspace));
    return `/api/workspaces/${meant.id}/runtime-profiles`;
  }

  /** Made, where the server gives a runtime none of its own. */
  async #agentOf(runtime: string): Promise<string> {
    const agents = listOf(await this.#ask("GET", "/api/agents"), "agents");
    const agent = agents.find(({ runtime_id }) => runtime_id === runtime);
    if (agent) return agent.id;
    return (await this.#ask("POST", "/api/agents", { name: `Bot ${runtime.slice(0, 8)}`, runtime_id: runtime })).id;
  }

  async #issueOf(task: string): Promise<string> {
    return this.#issues.get(task) ?? (await this.#ask("GET", `/api/tasks/${task}`)).issue_id;
  }

  /** The newest first. */
  async #tasksOf(issue: string): Promise<Json[]> {
    return listOf(await this.#ask("GET", `/api/issues/${issue}/tasks`), "tasks");
  }

  async #ask(method: string, path: string, body?: unknown): Promise<Json> {
    const { baseUrl, token, fetch } = this.endpoint;
    const { workspace } = this.#options;
    const headers = {
      authorization: `Bearer ${token}`,
      ...(workspace ? { "x-workspace-id": workspace } : {}),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(new Request(`${baseUrl}${path}`, { method, headers, ...text }));
    const said = await answer.text();
    // Of a thing that is not there it says so in other words.
    const missing = [405, 501].includes(answer.status) || said.includes("404 page not found");
    if (missing) throw new NotOffered(`${method} ${path.replace(/[0-9a-f-]{36}/g, "ID")} is not offered`);
    if (!answer.ok) throw new Error(`${method} ${path} was answered with ${answer.status}: ${said}`);
    return said === "" ? undefined : JSON.parse(said);
  }
}

/** Some answer with the list itself. */
function listOf(answer: Json, name: string): Json[] {
  return Array.isArray(answer) ? answer : answer[name];
}
