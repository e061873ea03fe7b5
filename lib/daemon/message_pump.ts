/** The message pump: numbers what an agent says, joins its fragments, blots out secrets, and passes it on in batches. */
import type { AgentMessage } from "../core/message.ts";
import type { ModelUsage } from "../core/model.ts";
import type { Clock } from "../core/ports.ts";
import { redactText, redactValue, settledLength, truncateUtf8 } from "../core/redact.ts";
import { toWireMessage } from "../wire/client.ts";
import type { WireMessage } from "../wire/payloads.ts";

/** A batch leaves at the latest after this. */
const FLUSH_MS = 500;
/** Wire protocol 1.9. */
const MAX_OUTPUT_BYTES = 8_192;
/**
 * A batch leaves at once when it holds this much; the caller is held up meanwhile, and with it the agent. On its way a
 * batch is in memory several times over, for every agent at once.
 */
const MAX_BATCH = 500;
const MAX_BATCH_CHARS = 128 * 1024;
/** Joined text is cut into messages of at most this many characters. */
const MAX_TEXT_CHARS = 64 * 1024;

export interface PumpOptions {
  readonly clock: Clock;
  /** Keeps a batch; called in order. */
  readonly emit: (messages: readonly WireMessage[]) => void;
  /** The provider's session id, as soon as it is known, and again if it changes. */
  readonly onSession: (sessionId: string) => void;
  /** Totals of the run so far, whenever the agent tells them. */
  readonly onUsage?: (usage: readonly ModelUsage[]) => void;
}

export interface MessagePump {
  push(message: AgentMessage): void;
  /** Sends what is held back. */
  flush(): void;
  /** The session it was told of is not the run's any more. */
  forgetSession(): void;
  /** The latest totals the agent reported. */
  readonly usage: readonly ModelUsage[];
  readonly sessionId: string;
  /** Whether the agent has used a tool: then a run must not be repeated behind its back. */
  readonly usedTools: boolean;
  readonly count: number;
  /** Flushes and stops the timer. */
  close(): void;
}

interface OpenText {
  readonly kind: "text" | "thinking";
  parts: string[];
  chars: number;
  /** Whether anything came since the last look: then the end may be half a word. */
  grown: boolean;
}

export function createPump(options: PumpOptions): MessagePump {
  return new Pump(options);
}

class Pump implements MessagePump {
  readonly #options: PumpOptions;
  #batch: WireMessage[] = [];
  #chars = 0;
  /** Fragments of one kind, kept raw until they are complete: a secret may be split between two of them. */
  #open: OpenText | undefined;
  #seq = 0;
  #timer: Disposable | undefined;
  usage: readonly ModelUsage[] = [];
  sessionId = "";
  usedTools = false;

  constructor(options: PumpOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#seq;
  }

  push(message: AgentMessage): void {
    if (message.kind === "session") {
      if (message.sessionId === this.sessionId || message.sessionId === "") return;
      this.sessionId = message.sessionId;
      this.#options.onSession(message.sessionId);
      return;
    }
    if (message.kind === "usage") {
      this.usage = message.usage;
      this.#options.onUsage?.(message.usage);
      return;
    }
    if (message.kind === "text" || message.kind === "thinking") this.#join(message.kind, message.text);
    else {
      this.#closeOpen();
      if (message.kind === "tool-use") this.usedTools = true;
      this.#add(cleaned(message));
    }
    if (this.#batch.length >= MAX_BATCH || this.#chars >= MAX_BATCH_CHARS) this.#send();
    this.#watch();
  }

  forgetSession(): void {
    this.sessionId = "";
  }

  flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#closeOpen();
    this.#send();
  }

  close(): void {
    this.flush();
  }

  #watch(): void {
    if (!this.#open && this.#batch.length === 0) return;
    this.#timer ??= this.#options.clock.after(FLUSH_MS, () => {
      this.#timer = undefined;
      if (this.#open?.grown) this.#passSettled(this.#open);
      else this.#closeOpen();
      this.#send();
      this.#watch();
    });
  }

  #send(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#chars = 0;
    this.#options.emit(batch);
  }

  #join(kind: "text" | "thinking", text: string): void {
    if (text === "") return;
    if (this.#open?.kind !== kind) this.#closeOpen();
    const open = this.#open ??= { kind, parts: [], chars: 0, grown: true };
    open.parts.push(text);
    open.chars += text.length;
    open.grown = true;
    if (open.chars >= MAX_TEXT_CHARS) this.#passSettled(open);
  }

  /** Passes on what is complete and keeps the end, which the next fragment may go on with. */
  #passSettled(open: OpenText): void {
    const text = open.parts.join("");
    const settled = settledLength(text);
    const rest = text.slice(settled);
    // Kept too long it would never leave.
    if (rest.length >= MAX_TEXT_CHARS / 2) return this.#closeOpen();
    this.#open = rest === "" ? undefined : { kind: open.kind, parts: [rest], chars: rest.length, grown: false };
    this.#addText(open.kind, text.slice(0, settled));
  }

  #closeOpen(): void {
    if (!this.#open) return;
    const { kind, parts } = this.#open;
    this.#open = undefined;
    this.#addText(kind, parts.join(""));
  }

  #addText(kind: OpenText["kind"], text: string): void {
    if (text === "") return;
    for (const piece of pieces(redactText(text), MAX_TEXT_CHARS)) this.#add({ kind, text: piece });
  }

  #add(message: AgentMessage): void {
    const wire = toWireMessage(message, this.#seq + 1);
    if (!wire) return;
    this.#seq++;
    this.#batch.push(wire);
    const input = wire.input ? JSON.stringify(wire.input).length : 0;
    this.#chars += wire.content.length + wire.output.length + input + 64;
  }
}

function cleaned(message: Exclude<AgentMessage, { kind: "text" | "thinking" | "session" | "usage" }>): AgentMessage {
  switch (message.kind) {
    case "tool-use":
      return { ...message, input: redactValue(message.input) };
    case "tool-result":
      return { ...message, output: truncateUtf8(redactText(message.output), MAX_OUTPUT_BYTES) };
    case "error":
      return { ...message, text: redactText(message.text) };
    case "permission-request":
      return { ...message, title: redactText(message.title), input: redactValue(message.input) };
    case "permission-answer":
      return { ...message, why: redactText(message.why) };
  }
}

/** At most `size` UTF-16 units each, never splitting a surrogate pair. */
function pieces(text: string, size: number): string[] {
  if (text.length <= size) return [text];
  const all: string[] = [];
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + size, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--;
    all.push(text.slice(at, end));
    at = end;
  }
  return all;
}
