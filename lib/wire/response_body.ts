/** The body of an answer as text, given up as soon as it is longer than the caller can use. */

/** Throws when there are more than `maxBytes`; what is left of it is not read then. */
export async function readBody(response: Response, maxBytes?: number): Promise<string> {
  if (maxBytes === undefined || !response.body) return await response.text();
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
