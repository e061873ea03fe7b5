/** A prepared stream of an agent, for measuring: tool uses and their results, as many as wanted. */

/** `messages` must be even. One JSON object per line, in the dialect of claude stream-json. */
export function transcriptOf(messages: number): string {
  const lines = [JSON.stringify({ type: "system", subtype: "init", session_id: "bench", tools: [] })];
  for (let i = 0; i < messages / 2; i++) {
    const id = `toolu_${i}`;
    const use = [{ type: "tool_use", id, name: "Bash", input: { command: `echo ${i}` } }];
    const result = [{ type: "tool_result", tool_use_id: id, content: `${i}`, is_error: false }];
    lines.push(JSON.stringify({ type: "assistant", message: { id: `m${i}`, role: "assistant", content: use } }));
    lines.push(JSON.stringify({ type: "user", message: { role: "user", content: result } }));
  }
  lines.push(
    JSON.stringify({ type: "result", subtype: "success", is_error: false, result: "done", session_id: "bench" }),
  );
  return lines.join("\n") + "\n";
}
