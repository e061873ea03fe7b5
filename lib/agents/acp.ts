/** The adapter of the Agent Client Protocol: opens a session, sets it up, sends one prompt, and answers what the agent asks. */
import type { FailureReason } from "../core/failure.ts";
import type { Outcome, PermissionDecision } from "../core/message.ts";
import type { AgentTask } from "../core/model.ts";
import type { ChildExit } from "../core/ports.ts";
import { AcpEvents } from "./acp_events.ts";
import { reasonForAcpError, reasonInWords, RESOURCE_NOT_FOUND, STOP_REASONS, textOfError } from "./acp_failure.ts";
import { CANCELLED, permissionAnswer, reads } from "./acp_permission.ts";
import {
  abilitiesOf,
  type AcpAbilities,
  mcpServersFor,
  modelNameOf,
  PROTOCOL_VERSION,
  setupOf,
  type SetupRequest,
} from "./acp_setup.ts";
import type { Adapter, AgentIo } from "./backend.ts";
import { type JsonRecord, recordOf, textOf } from "./json_fields.ts";
import { type Incoming, INVALID_PARAMS, METHOD_NOT_FOUND, type RpcFailure, type RpcId } from "./jsonrpc.ts";
import { decide } from "./permission.ts";
import type { RowOf } from "./provider_row.ts";
import { rpcSession, type Stage, type Talker } from "./rpc_session.ts";
import { describeExit, failed } from "./session.ts";

/** Of each request but the prompt. Opening a session may start servers of tools that are installed first. */
export const REQUEST_LIMIT_MS = 120_000;

/** Some agents use an older name for it. */
const UPDATES: ReadonlySet<string> = new Set(["session/update", "session/notification"]);

/** What a setting that the agent does not take means. */
const BY_SETTING: Record<SetupRequest["what"], FailureReason> = {
  mode: "agent_error.runtime_version_unsupported",
  model: "agent_error.model_not_found_or_unavailable",
  effort: "agent_error.missing_config",
};

type Row = RowOf<"acp">;

export function acp(row: Row): Adapter {
  return {
    run: (io, task, signal) => rpcSession(io, signal, { create: (stage) => new AcpTalker(row, io, task, stage) }),
  };
}

class AcpTalker implements Talker {
  readonly #events: AcpEvents;
  /** Permission requests that wait for a person. */
  readonly #waiting = new Set<RpcId>();
  #abilities: AcpAbilities = abilitiesOf({});
  #sessionId = "";
  #asking = "initialize";
  #denied = "";
  #linger: Disposable | undefined;

  constructor(
    readonly row: Row,
    readonly io: AgentIo,
    readonly task: AgentTask,
    readonly stage: Stage,
  ) {
    this.#events = new AcpEvents(row.acp);
  }

  begin(): void {
    const params = {
      protocolVersion: PROTOCOL_VERSION,
      // Neither files nor terminals: the agent has its own, and what it does with them is what the run is about.
      clientCapabilities: {},
      clientInfo: { name: "drover", title: "drover", version: "1" },
    };
    this.#request("initialize", params, (answer) => this.#initialized(answer));
  }

  accept(message: Extract<Incoming, { kind: "request" | "notification" }>): void {
    const { kind, method, params } = message;
    if (kind === "request") {
      if (method === "session/request_permission") return this.#permission(message.id, params);
      return this.stage.peer.refuse(message.id, METHOD_NOT_FOUND, `drover does not offer ${method}`);
    }
    // Before the prompt it is the history of a session that is taken up.
    if (this.#asking !== "session/prompt" || !UPDATES.has(method)) return;
    this.stage.say(...this.#events.accept(recordOf(params.update)));
  }

  ended(exit: ChildExit | undefined, unreadable: string): Outcome {
    const reason = exit?.code === 0 ? "agent_error.empty_or_unparseable_output" : "agent_error.process_failure";
    const detail = [describeExit(exit, this.io.stderrTail()), unreadable].filter(Boolean).join("\n");
    return failed(reason, `The agent ended before it answered ${this.#asking}. ${detail}`, this.#sessionId);
  }

  leave(): void {
    this.#linger?.[Symbol.dispose]();
    if (this.stage.settled || this.#asking !== "session/prompt") return;
    for (const id of this.#waiting) this.stage.peer.reply(id, CANCELLED);
    this.#waiting.clear();
    this.stage.peer.notify("session/cancel", { sessionId: this.#sessionId });
  }

  #request(
    method: string,
    params: JsonRecord,
    done: (answer: JsonRecord) => void,
    { limitMs = REQUEST_LIMIT_MS, onError = (failure: RpcFailure) => this.#fail(failure) }: {
      limitMs?: number | undefined;
      onError?: (failure: RpcFailure) => void;
    } = {},
  ): void {
    this.#asking = method;
    this.stage.peer.request(method, params, { done, failed: onError, limitMs });
  }

  #initialized(answer: JsonRecord): void {
    const version = answer.protocolVersion;
    if (typeof version === "number" && version !== PROTOCOL_VERSION) {
      const detail = `${this.row.title} speaks version ${version} of the Agent Client Protocol, and drover version 1`;
      return this.stage.settle(failed("agent_error.runtime_version_unsupported", detail));
    }
    this.#abilities = abilitiesOf(answer);
    const offered = this.#abilities.authMethods;
    this.#authenticate((this.row.acp.authenticate ?? []).filter((method) => offered.includes(method)));
  }

  /** An agent may offer what does not work here, such as a key that is not set. */
  #authenticate([methodId, ...others]: readonly string[]): void {
    if (!methodId) return this.#open();
    const onError = (failure: RpcFailure) => others.length > 0 ? this.#authenticate(others) : this.#fail(failure);
    this.#request("authenticate", { methodId, _meta: { headless: true } }, () => this.#open(), { onError });
  }

  #open(): void {
    const { resumeSession, cwd, mcpServers = [], permission } = this.task;
    const { taken, left } = mcpServersFor(mcpServers, this.#abilities);
    if (left.length > 0) {
      const text = `${this.row.title} does not take this kind of MCP server, so they were left out: ${left.join(", ")}`;
      this.stage.say({ kind: "error", text });
    }
    const meta = this.row.acp.sessionMeta?.[permission];
    const params = { cwd, mcpServers: taken, ...(meta ? { _meta: meta } : {}) };
    if (!resumeSession) return this.#request("session/new", params, (answer) => this.#opened(answer));
    const { resume } = this.#abilities;
    if (!resume) {
      const detail = `${this.row.title} cannot take up an earlier session: it offers neither to resume nor to load one`;
      return this.stage.settle({ ...failed("agent_error.runtime_version_unsupported", detail), resumeRejected: true });
    }
    this.#request(resume, { ...params, sessionId: resumeSession }, (answer) => this.#opened(answer));
  }

  #opened(answer: JsonRecord): void {
    this.#sessionId = textOf(answer.sessionId) || this.task.resumeSession || "";
    if (!this.#sessionId) {
      const detail = `${this.row.title} opened a session without an id`;
      return this.stage.settle(failed("agent_error.empty_or_unparseable_output", detail));
    }
    this.#events.model = modelNameOf(this.task, answer, this.row.acp.modelByName ?? false);
    this.stage.say({ kind: "session", sessionId: this.#sessionId });
    const { requests, left } = setupOf(this.task, this.#sessionId, answer, {
      mode: this.row.acp.modes?.[this.task.permission],
      modelByArgument: this.row.args.model !== undefined,
      effortByArgument: this.row.args.effort !== undefined,
    });
    if (left.length > 0) {
      this.stage.say({
        kind: "error",
        text: `${this.row.title} has no setting for ${left.join(", ")}; it runs without`,
      });
    }
    this.#setUp(requests);
  }

  #setUp([next, ...rest]: readonly SetupRequest[]): void {
    if (!next) return this.#prompt();
    this.#request(next.method, next.params, () => this.#setUp(rest), {
      onError: (failure) => this.#fail(failure, BY_SETTING[next.what]),
    });
  }

  #prompt(): void {
    const prompt = [{ type: "text", text: this.task.prompt }];
    const params = { sessionId: this.#sessionId, prompt };
    this.#request("session/prompt", params, (answer) => this.#turnOver(answer), { limitMs: undefined });
  }

  #permission(id: RpcId, params: JsonRecord): void {
    const { call, messages } = this.#events.asked(recordOf(params.toolCall));
    this.stage.say(...messages);
    const { tool, title, input } = call;
    const callId = textOf(recordOf(params.toolCall).toolCallId);
    const request = { tool, callId, title, input, reads: reads(call.kind) };
    this.#waiting.add(id);
    this.stage.afterSaid(() => {
      const decision = decide(this.task.permission, request, this.io);
      const answer = (given: PermissionDecision) => this.#decided(id, params.options, given);
      if (decision instanceof Promise) decision.then(answer);
      else answer(decision);
    });
  }

  #decided(id: RpcId, options: unknown, { allow, why }: PermissionDecision): void {
    // The run may have ended meanwhile.
    if (!this.#waiting.delete(id) || this.stage.settled) return;
    if (!allow) this.#denied = why;
    this.stage.peer.reply(id, permissionAnswer(options, allow));
  }

  #turnOver(answer: JsonRecord): void {
    const { lingerMs } = this.row.acp;
    if (lingerMs === undefined) return this.#finish(answer);
    this.#linger = this.io.clock.after(lingerMs, () => this.#finish(answer));
  }

  #finish(answer: JsonRecord): void {
    this.stage.say(...this.#events.end());
    const usage = this.#events.usage.ofTurn(answer, this.#events.model, this.task.resumeSession === undefined);
    if (usage.length > 0) this.stage.say({ kind: "usage", usage });
    this.stage.settle(this.#outcomeOf(textOf(answer.stopReason)));
  }

  #outcomeOf(stopReason: string): Outcome {
    const { answer, active, hasLastWord } = this.#events;
    const sessionId = this.#sessionId;
    const cut = stopReason === "cancelled" || (stopReason === "end_turn" && !hasLastWord);
    if (cut && this.#denied) {
      const detail = `The agent ended its turn because it was not allowed what it asked for: ${this.#denied}`;
      return failed("agent_error.unknown", detail, sessionId);
    }
    if (stopReason === "end_turn") {
      const done = this.row.acp.errorsIn ? hasLastWord : active;
      return done ? { kind: "completed", output: answer, sessionId } : this.#saidNothing();
    }
    const known = STOP_REASONS[stopReason];
    if (!known) {
      const detail = `${this.row.title} ended its turn for a reason that drover does not know: ${stopReason || "none"}`;
      return failed("agent_error.unknown", detail, sessionId);
    }
    const outcome = failed(known.reason, [known.detail, answer].filter(Boolean).join(": "), sessionId);
    const lost = stopReason === "refusal" && !active && this.row.acp.refusesLostSession && this.task.resumeSession;
    return lost ? { ...outcome, resumeRejected: true } : outcome;
  }

  /** An agent that ends its turn without a word has met an error that it told nobody, or only its error output. */
  #saidNothing(): Outcome {
    const stderr = this.io.stderrTail().trim();
    const errorsIn = this.row.acp.errorsIn?.replace("{}", this.#sessionId);
    const detail = [
      "The agent ended its turn without an answer",
      errorsIn ? `, as it does when the provider fails; the reason is in ${errorsIn}` : "",
      stderr ? `; the end of its error output:\n${stderr}` : "",
    ].join("");
    return failed(reasonInWords(stderr) ?? "agent_error.empty_or_unparseable_output", detail, this.#sessionId);
  }

  #fail(failure: RpcFailure, otherwise?: FailureReason): void {
    this.stage.say(...this.#events.end());
    const soFar = this.#events.usage.ofTurn({}, this.#events.model, this.task.resumeSession === undefined);
    if (soFar.length > 0) this.stage.say({ kind: "usage", usage: soFar });
    this.stage.settle(this.#outcomeOfFailure(failure, otherwise));
  }

  #outcomeOfFailure(failure: RpcFailure, otherwise?: FailureReason): Outcome {
    const { method } = failure;
    if (failure.kind === "timeout") {
      const detail = `${this.row.title} did not answer ${method} within ${failure.limitMs / 1000} s`;
      return failed("agent_error.agent_timeout", detail, this.#sessionId);
    }
    const lost = this.#isLostSession(failure);
    const known = reasonForAcpError(failure);
    const vague = known === "agent_error.unknown" || known === "agent_error.runtime_version_unsupported";
    const reason = lost ? "agent_error.unknown" : vague ? otherwise ?? known : known;
    const how = reason === "agent_error.provider_auth_or_access" && this.row.login
      ? `; to log in: ${this.row.login.how}`
      : "";
    const error = textOfError(failure);
    const { answer } = this.#events;
    const said = error.includes(answer) ? "" : `\n${answer}`;
    const detail = `${this.row.title} answered ${method} with error ${failure.code}: ${error}${how}${said}`;
    return { ...failed(reason, detail, this.#sessionId), ...(lost ? { resumeRejected: true } : {}) };
  }

  /** Resuming takes nothing of ours that could be wrong, except the session's id. */
  #isLostSession(failure: Extract<RpcFailure, { kind: "error" }>): boolean {
    if (!this.task.resumeSession) return false;
    if (failure.method === "session/prompt") return failure.code === RESOURCE_NOT_FOUND;
    if (failure.method !== this.#abilities.resume) return false;
    return [RESOURCE_NOT_FOUND, INVALID_PARAMS].includes(failure.code) ||
      (this.row.acp.lostSession?.(failure) ?? false);
  }
}
