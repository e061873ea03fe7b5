/** The adapter of the app-server protocol that Codex speaks: one thread, one turn, and approvals answered on the way. */
import type { Outcome } from "../core/message.ts";
import type { AgentTask } from "../core/model.ts";
import type { ChildExit } from "../core/ports.ts";
import type { Adapter, AgentIo } from "./backend.ts";
import { DECLINED, questionOf } from "./codex_approvals.ts";
import { CodexEvents } from "./codex_events.ts";
import { describeError, describeHandshake, reasonOfTurn } from "./codex_outcome.ts";
import { excessRights, threadParams, trustsProject, unreachableServers } from "./codex_thread.ts";
import { type JsonRecord, listOf, recordOf, textOf } from "./json_fields.ts";
import { METHOD_NOT_FOUND, type RpcFailure, type RpcId } from "./jsonrpc.ts";
import { decide } from "./permission.ts";
import { rpcSession, type Stage, type Talker } from "./rpc_session.ts";
import { describeExit, failed } from "./session.ts";

/** Of each request but the turn itself, whose answer comes when it has begun. Long sessions take their time to load. */
const HANDSHAKE_LIMIT_MS = 60_000;

/** What nobody here reads, and what would be most of the stream. */
const UNREAD = ["item/commandExecution/outputDelta", "item/fileChange/outputDelta", "turn/diff/updated"];

export const codexAppServer: Adapter = {
  run: (io, task, signal) =>
    rpcSession(io, signal, { bare: true, create: (stage) => new CodexTalker(stage, io, task) }),
};

class CodexTalker implements Talker {
  readonly #stage: Stage;
  readonly #io: AgentIo;
  readonly #task: AgentTask;
  readonly #events = new CodexEvents();

  constructor(stage: Stage, io: AgentIo, task: AgentTask) {
    this.#stage = stage;
    this.#io = io;
    this.#task = task;
  }

  begin(): void {
    const capabilities = { experimentalApi: false, requestAttestation: false, optOutNotificationMethods: UNREAD };
    const clientInfo = { name: "drover", title: "drover", version: "1" };
    this.#request("initialize", { clientInfo, capabilities }, () => {
      this.#stage.peer.notify("initialized", {});
      if (this.#task.permission === "read-only") this.#lookAtProject();
      else this.#openThread(false);
    });
  }

  accept(message: Parameters<Talker["accept"]>[0]): void {
    if (message.kind === "request") return this.#answer(message.id, message.method, message.params);
    const { method, params } = message;
    this.#stage.say(...this.#events.accept(method, params));
    if (method === "turn/completed" && this.#events.isOurTurn(params)) this.#settle(recordOf(params.turn));
  }

  ended(exit: ChildExit | undefined, unreadable: string): Outcome {
    const { error } = this.#events;
    const detail = [describeExit(exit, this.#io.stderrTail()), unreadable].filter(Boolean).join("\n");
    if (error) return this.#failed(error, `${describeError(error)}\n${detail}`);
    const reason = exit?.code === 0 ? "agent_error.empty_or_unparseable_output" : "agent_error.process_failure";
    return failed(reason, `The agent ended without a result. ${detail}`, this.#events.thread);
  }

  /** So that the session says that the turn was broken off. */
  leave(): void {
    const { thread: threadId, turn: turnId } = this.#events;
    if (this.#stage.settled || !turnId) return;
    this.#stage.peer.request("turn/interrupt", { threadId, turnId }, { done: () => {}, failed: () => {} });
  }

  /** A version that cannot tell is not trusted: the promise to only read comes first. */
  #lookAtProject(): void {
    const next = (distrust: boolean) => {
      if (distrust) this.#warn(PROJECT_LEFT_OUT);
      this.#openThread(distrust);
    };
    this.#stage.peer.request("config/read", { cwd: this.#task.cwd, includeLayers: true }, {
      done: (result) => next(trustsProject(result)),
      failed: (failure) => failure.kind === "error" ? next(true) : this.#giveUp(failure),
      limitMs: HANDSHAKE_LIMIT_MS,
    });
  }

  #openThread(distrustProject: boolean): void {
    const { resumeSession } = this.#task;
    const params = threadParams(this.#task, { distrustProject });
    for (const name of unreachableServers(this.#task)) this.#warn(`Left out the MCP server ${name}: Codex has no SSE`);
    const opened = (result: JsonRecord) => this.#threadOpened(result);
    // Earlier turns would come along otherwise, all in one line.
    if (resumeSession) {
      this.#request("thread/resume", { threadId: resumeSession, excludeTurns: true, ...params }, opened);
    } else this.#request("thread/start", params, opened);
  }

  #threadOpened(result: JsonRecord): void {
    const { effort, permission, prompt } = this.#task;
    const threadId = textOf(recordOf(result.thread).id);
    this.#events.openThread(threadId, textOf(result.model));
    if (threadId) this.#stage.say({ kind: "session", sessionId: threadId });
    const excess = excessRights(permission, result);
    if (excess) {
      const detail = `Codex opened the thread with more rights than --permission ${permission}: ${excess}`;
      return this.#stage.settle(failed("agent_error.missing_config", detail, threadId));
    }
    const input = [{ type: "text", text: prompt }];
    this.#request("turn/start", { threadId, input, ...(effort ? { effort } : {}) }, ({ turn }) => {
      this.#events.openTurn(textOf(recordOf(turn).id));
    });
  }

  #request(method: string, params: JsonRecord, done: (result: JsonRecord) => void): void {
    const limitMs = HANDSHAKE_LIMIT_MS;
    this.#stage.peer.request(method, params, { done, failed: (failure) => this.#giveUp(failure), limitMs });
  }

  #giveUp(failure: RpcFailure): void {
    const { reason, detail, resumeRejected } = describeHandshake(failure);
    const outcome = failed(reason, detail, this.#events.thread);
    this.#stage.settle(resumeRejected ? { ...outcome, resumeRejected } : outcome);
  }

  #answer(id: RpcId, method: string, params: JsonRecord): void {
    const { peer } = this.#stage;
    const question = questionOf(method, params, this.#events.toolOf(params));
    if (!question) {
      const declined = DECLINED[method];
      if (declined) return peer.reply(id, declined);
      return peer.refuse(id, METHOD_NOT_FOUND, `drover does not answer ${method}`);
    }
    const decision = decide(this.#task.permission, { ...question.request, reads: false }, this.#io);
    const reply = ({ allow }: { allow: boolean }) => peer.reply(id, question.answer(allow));
    if (decision instanceof Promise) void decision.then(reply);
    else reply(decision);
  }

  #settle(turn: JsonRecord): void {
    const { thread: sessionId, answer } = this.#events;
    if (turn.status === "completed") {
      const output = answer || lastText(turn);
      return this.#stage.settle({ kind: "completed", output, ...(sessionId ? { sessionId } : {}) });
    }
    const error = recordOf(turn.error ?? this.#events.error);
    const detail = turn.status === "interrupted" ? "Codex broke off the turn" : describeError(error);
    this.#stage.settle(this.#failed(error, detail));
  }

  #failed(error: JsonRecord, detail: string): Outcome {
    const reason = reasonOfTurn(error);
    const outcome = failed(reason, detail, this.#events.thread);
    const retryAt = this.#events.limits.resetsAt(this.#io.clock.now());
    const isQuota = reason === "agent_error.provider_quota_limit" && retryAt !== undefined;
    return isQuota ? { ...outcome, retryAt } : outcome;
  }

  #warn(text: string): void {
    this.#stage.say({ kind: "error", text });
  }
}

const PROJECT_LEFT_OUT =
  "Left out this project's own Codex settings and AGENTS.md, which you trust in Codex's settings: " +
  "their rules and hooks can run commands outside of the read-only sandbox";

/** Of the summary of the turn, for a text that was never said as an item. */
function lastText({ items }: JsonRecord): string {
  return textOf(listOf(items).map(recordOf).findLast(({ type }) => type === "agentMessage")?.text);
}
