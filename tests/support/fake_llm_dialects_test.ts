/** Each wire format of the fake model: a tool call, its result, streams that add up to the whole answer, and errors. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type FakeLlm, startFakeLlm } from "./fake_llm.ts";

const SHELL = { type: "object", properties: { command: { type: "string" } }, required: ["command"] };

// deno-lint-ignore no-explicit-any
type Json = any;

/** One request's answer, whatever its format: what it says, what it calls, why it ended. */
interface Answer {
  readonly text: string;
  readonly call?: { readonly name: string; readonly args: unknown };
}

interface Format {
  readonly path: (stream: boolean) => string;
  /** The body after this much of the conversation; `result`: of the tool call in between. */
  readonly body: (prompt: string, stream: boolean, result?: string) => object;
  readonly whole: (body: Json) => Answer;
  readonly pieces: (events: Json[]) => Answer;
  readonly errorOf: (body: Json) => string;
}

const FORMATS: Readonly<Record<string, Format>> = {
  chat: {
    path: () => "/v1/chat/completions",
    body: (content, stream, result) => ({
      model: "m",
      stream,
      tools: [{ type: "function", function: { name: "bash", parameters: SHELL } }],
      messages: [
        { role: "system", content: "@fake:http500 is no prompt" },
        { role: "user", content },
        ...(result === undefined ? [] : [{ role: "assistant", content: null, tool_calls: [] }, {
          role: "tool",
          content: [{ type: "text", text: result }],
        }]),
      ],
    }),
    whole: ({ choices: [{ message }] }) => ({
      text: message.content ?? "",
      call: callFrom(message.tool_calls?.[0]?.function),
    }),
    pieces: (events) => {
      const deltas = events.flatMap((event) => event.choices.map((choice: Json) => choice.delta));
      const parts = deltas.flatMap((delta) => delta.tool_calls ?? []).map((call) => call.function);
      return {
        text: joined(deltas, "content"),
        call: parts.length === 0 ? undefined : callFrom({ name: parts[0].name, arguments: joined(parts, "arguments") }),
      };
    },
    errorOf: ({ error }) => `${error.type}: ${error.message}`,
  },
  responses: {
    path: () => "/v1/responses",
    body: (text, stream, result) => ({
      model: "m",
      stream,
      tools: [{ type: "function", name: "bash", parameters: SHELL }],
      input: [
        { type: "message", role: "user", content: [{ type: "input_text", text }] },
        ...(result === undefined ? [] : [{ type: "function_call", call_id: "c", name: "bash", arguments: "{}" }, {
          type: "function_call_output",
          call_id: "c",
          output: result,
        }]),
      ],
    }),
    whole: ({ output }) => answerOfItems(output),
    pieces: (events) => {
      const answer = answerOfItems(
        events.filter(({ type }) => type === "response.output_item.done").map((e) => e.item),
      );
      const deltas = events.filter(({ type }) => type === "response.output_text.delta");
      assertEquals(joined(deltas, "delta"), answer.text);
      assertEquals(events.map((event) => event.sequence_number), events.map((_, i) => i));
      return answer;
    },
    errorOf: ({ error }) => `${error.type}: ${error.message}`,
  },
  gemini: {
    path: (stream) => `/v1beta/models/m:${stream ? "streamGenerateContent" : "generateContent"}?alt=sse`,
    body: (text, _stream, result) => ({
      tools: [{ functionDeclarations: [{ name: "run_shell_command", parametersJsonSchema: SHELL }] }],
      contents: [
        { role: "user", parts: [{ text }] },
        ...(result === undefined ? [] : [
          { role: "model", parts: [{ functionCall: { name: "run_shell_command", args: {} } }] },
          { role: "user", parts: [{ functionResponse: { name: "run_shell_command", response: { output: result } } }] },
        ]),
      ],
    }),
    whole: (body) => answerOfParts(body.candidates[0].content.parts),
    pieces: (events) => answerOfParts(events.flatMap((event) => event.candidates[0].content.parts)),
    errorOf: ({ error }) => `${error.status}: ${error.message}`,
  },
};

function joined(parts: Json[], member: string): string {
  return parts.map((part) => part[member] ?? "").join("");
}

function callFrom(call: Json): Answer["call"] {
  return call && { name: call.name, args: JSON.parse(call.arguments) };
}

function answerOfItems(items: Json[]): Answer {
  const text = items.flatMap((item) => item.content ?? []).map((part: Json) => part.text).join("");
  return { text, call: callFrom(items.find((item) => item.type === "function_call")) };
}

function answerOfParts(parts: Json[]): Answer {
  const call = parts.find((part) => part.functionCall)?.functionCall;
  return { text: joined(parts, "text"), call: call && { name: call.name, args: call.args } };
}

async function post(llm: FakeLlm, path: string, body: object): Promise<{ status: number; text: string }> {
  const reply = await fetch(`${llm.url}${path}`, { method: "POST", body: JSON.stringify(body) });
  return { status: reply.status, text: await reply.text() };
}

function eventsIn(stream: string): Json[] {
  const lines = [...stream.matchAll(/^data: (.*)$/gm)].map((found) => found[1]!);
  return lines.filter((line) => line !== "[DONE]").map((line) => JSON.parse(line));
}

for (const [name, format] of Object.entries(FORMATS)) {
  const ask = (llm: FakeLlm, prompt: string, stream: boolean, result?: string) =>
    post(llm, format.path(stream), format.body(prompt, stream, result));

  Deno.test(`[${name}] a tool call and then an answer that quotes the result, the same in a stream`, async () => {
    await using llm = await startFakeLlm();
    for (const stream of [false, true]) {
      const read = ({ text }: { text: string }) =>
        stream ? format.pieces(eventsIn(text)) : format.whole(JSON.parse(text));
      const first = read(await ask(llm, "please @fake:say", stream));
      assertEquals([first.text, first.call?.args], ["I will run it.", { command: "echo hello-from-tool" }]);
      const second = read(await ask(llm, "please", stream, "what it gave"));
      assertEquals(second, { text: "Final answer after tool. Tool said: what it gave", call: undefined });
    }
    assertEquals(
      llm.requests.map(({ asked }) => [asked?.dialect, asked?.model, asked?.step, asked?.toolResult]),
      [0, 1, 0, 1].map((step) => [name, "m", step, step === 0 ? "" : "what it gave"]),
    );
    assertEquals(llm.requests.map(({ asked }) => asked?.stream), [false, false, true, true]);
  });

  Deno.test(`[${name}] refusals in the format's own shape, and an error in the middle of a stream`, async () => {
    await using llm = await startFakeLlm();
    const refused = await ask(llm, "@fake:http429", true);
    assertEquals(refused.status, 429);
    assertStringIncludes(format.errorOf(JSON.parse(refused.text)), "Scripted error 429");
    const broken = await ask(llm, "@fake:errorevent", true);
    assertEquals(broken.status, 200);
    assertStringIncludes(broken.text, "Overloaded (fake)");
  });
}

Deno.test("startFakeLlm() gives a client that takes patches and programs just these", async () => {
  await using llm = await startFakeLlm();
  const ask = async (prompt: string, tools: object[]) => {
    const input = [{ type: "additional_tools", tools }, { role: "user", content: prompt }];
    const { text } = await post(llm, "/v1/responses", { input });
    return JSON.parse(text).output.at(-1);
  };
  const namespaced = [{ type: "namespace", name: "files", tools: [{ type: "custom", name: "apply_patch" }] }];
  const patch = await ask("@fake:write", namespaced);
  assertEquals([patch.type, patch.name, patch.namespace], ["custom_tool_call", "apply_patch", "files"]);
  assertStringIncludes(patch.input, "*** Add File: hello.txt\n+hello from fake-llm\n*** End Patch");
  const program = await ask("run it", [{ type: "custom", name: "exec" }]);
  assertStringIncludes(program.input, 'tools.exec_command({cmd: "echo hello-from-tool"})');
});

Deno.test("startFakeLlm() lists its model, and writes with a shell where the client has nothing better", async () => {
  await using llm = await startFakeLlm();
  const list = await (await fetch(`${llm.url}/v1/models`)).json();
  assertEquals(list.data[0].id, "fake-model");
  const { text } = await post(llm, "/v1/chat/completions", FORMATS.chat!.body("@fake:write", false));
  const { command } = FORMATS.chat!.whole(JSON.parse(text)).call!.args as { command: string };
  assert(command.startsWith("printf %s 'hello from fake-llm"), command);
});
