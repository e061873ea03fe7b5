/** The strict fake as the server's side of a conformance test. */
import { assertEquals } from "@std/assert";
import { FakeMultica } from "../support/fake_multica.ts";
import type { ServerSide, SideTask } from "./server_side.ts";

export class FakeSide implements ServerSide {
  readonly name = "fake";
  readonly endpoint: ServerSide["endpoint"];
  readonly server: FakeMultica;
  #profiles = 0;

  constructor(now: () => number) {
    const server = this.server = new FakeMultica({ now });
    this.endpoint = {
      baseUrl: "http://team.test",
      fetch: server.fetch,
      dial: server.hub.dial,
      get token() {
        return server.token;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    // A second start is what a test itself asks for.
    assertEquals(this.server.violations.filter((one) => one !== "start of a task that is running"), []);
  }

  runtimes() {
    const rows = [...this.server.runtimes.values()];
    return Promise.resolve(rows.map(({ id, provider, status }) => ({ id, provider, online: status === "online" })));
  }

  setCap(runtime: string, cap: number) {
    this.server.tasks.caps.set(agentOf(runtime), cap);
    return Promise.resolve();
  }

  enqueue(runtime: string, { after }: { after?: string } = {}) {
    const issue = after === undefined ? {} : { issue_id: this.server.tasks.get(after).issue_id };
    return Promise.resolve(this.server.enqueue(runtime, { agent_id: agentOf(runtime), ...issue }).id);
  }

  cancel(task: string) {
    this.server.tasks.cancel(this.server.tasks.get(task));
    return Promise.resolve();
  }

  task(id: string): Promise<SideTask> {
    const { status, attempt, output, failure_reason, session_id, work_dir } = this.server.tasks.get(id);
    const row = { id, status, attempt, output, failureReason: failure_reason, sessionId: session_id };
    return Promise.resolve({ ...row, workDir: work_dir });
  }

  repeated(task: string) {
    const later = [...this.server.tasks.all.values()].find(({ more }) => more.parent_task_id === task);
    return Promise.resolve(later?.id);
  }

  messages(task: string) {
    const { messages } = this.server.tasks.get(task);
    return Promise.resolve(messages.map(({ seq, content = "" }) => ({ seq, content })));
  }

  usage(task: string) {
    const { usage } = this.server.tasks.get(task);
    const shown = usage.map(({ model, input_tokens, output_tokens }) => [model, input_tokens, output_tokens] as const);
    return Promise.resolve(shown.map(([model, input, output]) => ({ model, input, output })));
  }

  deleteRuntime(id: string) {
    this.server.forget(id);
    return Promise.resolve();
  }

  addProfile(name: string, provider: string) {
    const id = `7a000000-0000-4000-8000-${String(++this.#profiles).padStart(12, "0")}`;
    const profile = { id, display_name: name, protocol_family: provider, command_name: "acme", enabled: true };
    this.#setProfiles((before) => [...before, profile]);
    return Promise.resolve(id);
  }

  enableProfile(id: string, enabled: boolean) {
    this.#setProfiles((before) => before.map((one) => one.id === id ? { ...one, enabled } : one));
    return Promise.resolve();
  }

  deleteProfile(id: string) {
    this.#setProfiles((before) => before.filter((one) => one.id !== id));
    for (const [runtime, { profile_id }] of this.server.runtimes) {
      if (profile_id === id) this.server.forget(runtime);
    }
    return Promise.resolve();
  }

  #setProfiles(change: (before: FakeProfile[]) => FakeProfile[]): void {
    const workspace = this.server.workspaces[0]!.id;
    this.server.setProfiles(workspace, change(this.server.profiles.get(workspace) ?? []));
  }
}

type FakeProfile = Parameters<FakeMultica["setProfiles"]>[1][number];

/** Each runtime has one agent. */
function agentOf(runtime: string): string {
  return `a${runtime.slice(1)}`;
}
