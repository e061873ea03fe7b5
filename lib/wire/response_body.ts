/** The body of an answer as text, given up as soon as it is longer than the caller can use. */

/** A claim may be large; more than this is no answer (wire protocol 2.3). */
const MOST = 64 * 1024 * 1024;

/** Throws when there are more than `maxBytes`; what is left of it is not read then. */
export async function readBody(response: Response, maxBytes = MOST): Promise<string> {
  if (!response.body) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`The answer is longer than ${maxBytes} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
