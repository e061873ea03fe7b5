/** The lines the demo agent prints: Claude's stream-json as the real CLI writes it, with tokens counted from the text. */
import type { Host } from "../core/ports.ts";

const CHARS_PER_TOKEN = 4;
const ENCODER = new TextEncoder();

interface DemoIdentity {
  readonly sessionId: string;
  readonly model: string;
  /** As given to `--permission-mode`. */
  readonly mode: string;
}

export class DemoLines {
  readonly #host: Pick<Host, "terminal" | "random" | "clock" | "system">;
  readonly #identity: DemoIdentity;
  #startedAt = 0;
  #inputChars = 0;
  #outputChars = 0;
  #turns = 0;
  #lastText = "";

  constructor(host: Pick<Host, "terminal" | "random" | "clock" | "system">, identity: DemoIdentity) {
    this.#host = host;
    this.#identity = identity;
  }

  get sessionId(): string {
    return this.#identity.sessionId;
  }

  async begin(prompt: string): Promise<void> {
    const { system, clock } = this.#host;
    this.#startedAt = clock.monotonic();
    this.#inputChars = prompt.length;
    this.#outputChars = 0;
    this.#turns = 0;
    await this.#print({
      type: "system",
      subtype: "init",
      cwd: system.cwd,
      tools: ["LS", "Read", "Write"],
      mcp_servers: [],
      model: this.#identity.model,
      permissionMode: this.#identity.mode,
    });
  }

  async say(kind: "text" | "thinking", text: string): Promise<void> {
    if (kind === "text") this.#lastText = text;
    await this.#assistant(
      kind === "text" ? { type: "text", text } : { type: "thinking", thinking: text, signature: "" },
      text,
    );
  }

  /** The id that its result must name. */
  async useTool(name: string, input: Record<string, unknown>): Promise<string> {
    const id = `toolu_${this.#host.random.hex(8)}`;
    this.#turns++;
    await this.#assistant({ type: "tool_use", id, name, input }, JSON.stringify(input));
    return id;
  }

  async toolResult(callId: string, content: string, isError = false): Promise<void> {
    this.#inputChars += content.length;
    const block = { type: "tool_result", tool_use_id: callId, content, is_error: isError };
    await this.#print({ type: "user", message: { role: "user", content: [block] }, parent_tool_use_id: null });
  }

  /** Asks for a tool; the answer names the same id. */
  async askFor(name: string, input: Record<string, unknown>, about: { callId: string; id: string }): Promise<void> {
    const { callId, id } = about;
    const request = { subtype: "can_use_tool", tool_name: name, display_name: name, input, tool_use_id: callId };
    await this.#print({ type: "control_request", request_id: id, request });
  }

  async result(): Promise<void> {
    await this.#result({
      is_error: false,
      result: this.#lastText,
      terminal_reason: "completed",
      api_error_status: null,
    });
  }

  /** As the real CLI reports a provider that failed: the subtype still says success. */
  async failedResult(status: number): Promise<void> {
    const text = `API Error: ${status} from the demo agent, as its prompt asked for`;
    await this.#assistant({ type: "text", text }, "", { is_api_error_message: true, api_error_status: status });
    await this.#result({ is_error: true, result: text, terminal_reason: "api_error", api_error_status: status });
  }

  async garbage(): Promise<void> {
    await this.#write(ENCODER.encode('this is no JSON\n{"type":"assistant","mess\n[1,2]\n\n'));
    await this.#write(new Uint8Array([0xff, 0xfe, 0x00, 0x80, 0x0a]));
  }

  async #assistant(block: Record<string, unknown>, text: string, more: Record<string, unknown> = {}): Promise<void> {
    this.#outputChars += text.length;
    const message = {
      id: `msg_${this.#host.random.hex(8)}`,
      type: "message",
      role: "assistant",
      model: this.#identity.model,
      content: [block],
      stop_reason: null,
    };
    await this.#print({ type: "assistant", message, parent_tool_use_id: null, ...more });
  }

  async #result(end: Record<string, unknown>): Promise<void> {
    const [input, output] = [this.#inputChars, this.#outputChars].map((chars) => Math.ceil(chars / CHARS_PER_TOKEN));
    const usage = {
      [this.#identity.model]: {
        inputTokens: input,
        outputTokens: output,
        cacheReadInputTokens: 0,
        cacheCreationInputTokens: 0,
        costUSD: 0,
      },
    };
    await this.#print({
      type: "result",
      subtype: "success",
      duration_ms: Math.round(this.#host.clock.monotonic() - this.#startedAt),
      num_turns: this.#turns + 1,
      total_cost_usd: 0,
      usage: { input_tokens: input, output_tokens: output, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
      modelUsage: usage,
      model_usage_since_last_result: usage,
      permission_denials: [],
      ...end,
    });
  }

  async #print(event: Record<string, unknown>): Promise<void> {
    const line = { ...event, session_id: this.#identity.sessionId, uuid: this.#host.random.uuid() };
    await this.#write(ENCODER.encode(`${JSON.stringify(line)}\n`));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#host.terminal.write(bytes);
  }
}
