/** The brief: what an agent is told besides its prompt, and the marker block that keeps it apart from the user's own text. */

/** How an agent says that it cannot go on. */
export const BLOCKED = "BLOCKED:";

const BEGIN = "<!-- BEGIN drover: written for one task, taken out after it -->";
const END = "<!-- END drover -->";

/** Deletes the block from what passes through; for git, which must never see it. */
export const STRIP_COMMAND = "sed -e '/^<!-- BEGIN drover/,/^<!-- END drover -->/d'";

/** The same bytes for every task of an agent, so that the provider's prompt cache holds: what differs is in the prompt. */
const GENERAL = `\
# Working for drover

drover started you for one task. The person who gave it may not be there: do not wait for answers. Decide yourself, and
say in your last message what you did, what you decided, and what is left to do.

- Work in the directory you were started in. What you leave there is kept for that person.
- The environment variable DROVER_TASK_ID holds the id of the task.`;

/** Of a team's server: whether its tasks bring a token with which the agent can call it. */
export type TeamServer = "with-token" | "without-token";

const TEAM = `\
# The team's server

The task comes from a team that plans its work as issues on a server. What you need of it is in your prompt.

- The server shows your last message to the team: on an issue it becomes your comment. Only if you wrote a comment there
  yourself during this task does it not; then write your result as a comment, too.
- If you cannot go on with an issue without something that only a person can give, begin your last message with
  ${BLOCKED} and say what you need. The task then counts as failed, and a person looks at it.`;

const CALLS = `\
- You can call the server yourself when the task needs it, as long as the task runs. Where the program \`multica\` is
  installed, use it: it is logged in as you. Otherwise use its API, like this; never write the token anywhere:

      call() { printf 'Authorization: Bearer %s' "$DROVER_TOKEN" | curl -sS -H @- "$@"; }
      json='Content-Type: application/json'
      call "$DROVER_SERVER_URL/api/issues/ID"
      call "$DROVER_SERVER_URL/api/issues/ID/comments"
      call -H "$json" -d '{"content":"TEXT"}' "$DROVER_SERVER_URL/api/issues/ID/comments"
      call -X PUT -H "$json" -d '{"status":"STATUS"}' "$DROVER_SERVER_URL/api/issues/ID"

  \`GET /api/attachments/ID\` has the \`download_url\` of an attachment.
- Set the status of your issue when it changes: when you begin, and when it is ready for others to look at.`;

const NO_CALLS = "- You cannot call the server from here.";

const TEAM_BRIEF: Readonly<Record<TeamServer, string>> = {
  "with-token": `${TEAM}\n${CALLS}`,
  "without-token": `${TEAM}\n${NO_CALLS}`,
};

export function briefText(instructions: string, team?: TeamServer): string {
  const own = instructions.trim();
  const parts = [GENERAL, team ? TEAM_BRIEF[team] : "", own === "" ? "" : `# Your instructions\n\n${own}`];
  return parts.filter((part) => part !== "").join("\n\n");
}

/** In front of the prompt of a CLI that reads no such file. */
export function briefedPrompt(brief: string, prompt: string): string {
  return brief === "" ? prompt : `${brief}\n\n# The task\n\n${prompt}`;
}

/** The file with the block in front, so that not a byte of the user's text has to change; an older block is replaced. */
export function withBlock(original: Uint8Array, brief: string): Uint8Array {
  // The end mark in the text would end the block too early.
  const block = `${BEGIN}\n${brief.replaceAll(END, "<!-- end -->")}\n${END}\n`;
  return concat(encoded(block), withoutBlock(original));
}

/** The file without blocks; the very same bytes where there is none. */
export function withoutBlock(bytes: Uint8Array): Uint8Array {
  const begin = find(bytes, encoded(BEGIN), 0);
  if (begin < 0) return bytes;
  const end = find(bytes, encoded(END), begin);
  if (end < 0) return bytes;
  const rest = end + END.length;
  const after = bytes.subarray(bytes[rest] === NEWLINE ? rest + 1 : rest);
  return withoutBlock(concat(bytes.subarray(0, begin), after));
}

export function hasBlock(bytes: Uint8Array): boolean {
  return withoutBlock(bytes) !== bytes;
}

const NEWLINE = 10;

function encoded(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function find(bytes: Uint8Array, pattern: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(pattern[0]!, from); at >= 0; at = bytes.indexOf(pattern[0]!, at + 1)) {
    if (pattern.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}
