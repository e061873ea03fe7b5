/** Issues: a task for the agent that gets one, comments that make or join tasks, and what an agent may do with its task's token. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { promptOf } from "../../lib/daemon/prompt.ts";
import { readComments, readIssue } from "../../lib/wire/issue.ts";
import { ClaimedTask } from "../../lib/wire/payloads.ts";
import { type Machine, Team } from "./team.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

async function setUp(): Promise<{ team: Team; ada: string; machine: Machine }> {
  const team = await Team.create();
  const ada = await team.person("Ada");
  return { team, ada, machine: await team.machine(ada) };
}

function issueWith(team: Team, token: string, fields: Record<string, unknown> = {}): Promise<Json> {
  const wanted = { title: "Fix the door", description: "It squeaks.", agent: "claude", ...fields };
  return team.ok("POST /api/issues", token, wanted);
}

async function say(team: Team, token: string, issue: string, content: string): Promise<Json> {
  await team.clock.advance(1_000);
  return await team.ok(`POST /api/issues/${issue}/comments`, token, { content });
}

async function tasksOf(team: Team, token: string, issue: string): Promise<[string, string][]> {
  const tasks: Json[] = await team.ok(`GET /api/issues/${issue}/tasks`, token);
  return tasks.toReversed().map(({ kind, status }) => [kind, status]);
}

Deno.test("an issue is numbered within its workspace, told as it was said, and its agent gets a task", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada, { priority: "high" });
  assertEquals([issue.identifier, issue.status, issue.priority, issue.assignee_type], [
    "HOM-1",
    "todo",
    "high",
    "agent",
  ]);
  assertEquals((await issueWith(team, ada, { agent: undefined })).identifier, "HOM-2");
  const eve = await team.person("Eve", "other place");
  assertEquals((await issueWith(team, eve, { agent: undefined })).identifier, "OTH-1");
  assertEquals(await team.ok(`GET /api/issues/${issue.id}`, ada), issue);
  const { issues } = await team.ok("GET /api/issues?status=todo", ada);
  assertEquals(issues.map(({ identifier }: Json) => identifier), ["HOM-2", "HOM-1"]);
  const [task] = await team.claim(machine);
  assertEquals(
    [task.issue_id, task.thread_name, task.kind, task.priority, task.prompt, task.directory, task.trigger_comment_id],
    [issue.id, "Fix the door", "direct", 3, undefined, undefined, undefined],
  );
  assertMatch(task.auth_token, /^mat_/);
  assertEquals(await team.claim(machine), [], "the other issue is nobody's");
});

Deno.test("POST and PUT /api/issues refuse what cannot be", async () => {
  const { team, ada } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  const eve = await team.person("Eve", "elsewhere");
  await team.person("Bo");
  const both = await team.person("Bo", "elsewhere");
  const refusals: [string, string, unknown, number][] = [
    ["POST /api/issues", ada, { title: " " }, 400],
    ["POST /api/issues", ada, { title: "T", status: "someday" }, 400],
    ["POST /api/issues", ada, { title: "T", agent: "nobody" }, 404],
    ["POST /api/issues", ada, { title: "T", agent_id: issue.id }, 404],
    ["POST /api/issues", ada, { title: "T", assignee_type: "member", assignee_id: issue.id }, 400],
    ["POST /api/issues", both, { title: "T" }, 400],
    [`PUT /api/issues/${issue.id}`, ada, { priority: "very" }, 400],
    [`PUT /api/issues/${issue.id}`, eve, { title: "Mine" }, 404],
    [`POST /api/issues/${issue.id}/comments`, ada, { content: "\n" }, 400],
    [`POST /api/issues/${issue.id}/comments`, eve, { content: "Hi" }, 404],
    ["GET /api/issues?status=someday", ada, undefined, 400],
  ];
  for (const [call, token, body, status] of refusals) {
    assertEquals((await team.call(call, token, body)).status, status, `${call} ${JSON.stringify(body)}`);
  }
  const named = await team.call("POST /api/issues", both, { title: "T" }, { "x-workspace-id": "elsewhere" });
  assertEquals([named.status, named.body.identifier], [201, "ELS-1"]);
});

Deno.test("PUT /api/issues/{id} keeps what is absent, gives the issue to another agent, and calls it off", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  const changed = await team.ok(`PUT /api/issues/${issue.id}`, ada, { status: "in_review", description: null });
  assertEquals([changed.title, changed.description, changed.status], ["Fix the door", "", "in_review"]);
  await team.ok("POST /api/agents", ada, { name: "other", runtime_id: machine.runtimes[0] });
  await team.ok(`PUT /api/issues/${issue.id}`, ada, { agent: "other" });
  await team.ok(`PUT /api/issues/${issue.id}`, ada, { agent: "other" });
  assertEquals((await tasksOf(team, ada, issue.id)).length, 2);
  const nobody = await team.ok(`PUT /api/issues/${issue.id}`, ada, { assignee_id: null });
  assertEquals(nobody.assignee_id, null);
  const [task] = await team.claim(machine, 1);
  await team.start(machine, task.id);
  await team.ok(`PUT /api/issues/${issue.id}`, ada, { status: "cancelled" });
  assertEquals((await tasksOf(team, ada, issue.id)).map(([, status]) => status), ["cancelled", "cancelled"]);
});

Deno.test("a comment joins the task that waits; with one running it makes another, which waits its turn", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  await say(team, ada, issue.id, "Mind the cat.");
  assertEquals(await tasksOf(team, ada, issue.id), [["direct", "queued"]]);
  const [first] = await team.claim(machine);
  assertEquals([first.kind, first.trigger_comment_id], ["direct", undefined], "it reads the comment with the issue");
  await say(team, ada, issue.id, "Said while it is being prepared.");
  await team.start(machine, first.id);
  await say(team, ada, issue.id, "Said while it runs.");
  assertEquals((await tasksOf(team, ada, issue.id)).map(([kind]) => kind), ["direct", "comment"]);
  assertEquals(await team.claim(machine), [], "one after the other");
  await team.complete(machine, first.id);
  const [second] = await team.claim(machine, 5, "coalesced-comments-v1");
  assertEquals(
    [second.kind, second.trigger_comment_content, second.trigger_author_type, second.trigger_author_name],
    ["comment", "Said while it runs.", "member", "Ada"],
  );
  assertEquals(second.coalesced_comments.map(({ content, author_name }: Json) => [content, author_name]), [
    ["Said while it is being prepared.", "Ada"],
  ]);
  assertEquals(second.coalesced_comment_ids.length, 1);
});

Deno.test("who cannot take comments one by one gets them as one text", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  const [first] = await team.claim(machine);
  await team.start(machine, first.id);
  await team.complete(machine, first.id);
  await say(team, ada, issue.id, "One.");
  await say(team, ada, issue.id, "Two.");
  const [task] = await team.claim(machine);
  assertEquals([task.trigger_comment_content, task.coalesced_comments], ["Ada: One.\n\nAda: Two.", undefined]);
});

Deno.test("what was said to an attempt that failed is said to the next", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada, { agent: undefined });
  await team.ok(`PUT /api/issues/${issue.id}`, ada, { agent: "claude" });
  const [first] = await team.claim(machine);
  await team.start(machine, first.id);
  await team.complete(machine, first.id);
  await say(team, ada, issue.id, "Once more.");
  const [failing] = await team.claim(machine);
  await team.start(machine, failing.id);
  await team.ok(`POST /api/daemon/tasks/${failing.id}/fail`, ada, { error: "x", failure_reason: "timeout" });
  const [again] = await team.claim(machine);
  assertEquals([again.attempt, again.kind, again.trigger_comment_content], [2, "comment", "Once more."]);
});

Deno.test("comments beyond half a mebibyte make another task", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  const [first] = await team.claim(machine);
  await team.start(machine, first.id);
  for (let n = 0; n < 9; n++) await say(team, ada, issue.id, "x".repeat(64 * 1024));
  assertEquals(await tasksOf(team, ada, issue.id), [["direct", "running"], ["comment", "queued"], [
    "comment",
    "deferred",
  ]]);
  await team.complete(machine, first.id);
  const [second] = await team.claim(machine, 5, "coalesced-comments-v1");
  assertEquals(second.coalesced_comments.length, 7);
  await team.start(machine, second.id);
  await team.complete(machine, second.id);
  const [third] = await team.claim(machine, 5, "coalesced-comments-v1");
  assertEquals([third.trigger_comment_content.length, third.coalesced_comments], [64 * 1024, undefined]);
});

Deno.test("an agent's last words become its comment unless it wrote one, and a failure is told", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  const said = async () => {
    const comments: Json[] = await team.ok(`GET /api/issues/${issue.id}/comments`, ada);
    return comments.map(({ author_type, author_name, content }) => [author_type, author_name, content]);
  };
  const [first] = await team.claim(machine);
  await team.start(machine, first.id);
  await team.complete(machine, first.id, "It is oiled.");
  assertEquals(await said(), [["agent", "claude", "It is oiled."]]);
  await say(team, ada, issue.id, "Thanks!");
  const [second] = await team.claim(machine);
  await team.start(machine, second.id);
  await say(team, second.auth_token, issue.id, "You are welcome.");
  assertEquals((await tasksOf(team, ada, issue.id)).length, 2, "an agent's comment makes no task");
  await team.complete(machine, second.id, "Said so.");
  assertEquals((await said()).slice(1), [["member", "Ada", "Thanks!"], ["agent", "claude", "You are welcome."]]);
  await say(team, ada, issue.id, "More oil.");
  const [third] = await team.claim(machine);
  await team.start(machine, third.id);
  const failure = { error: "No oil left", failure_reason: "agent_blocked" };
  await team.ok(`POST /api/daemon/tasks/${third.id}/fail`, ada, failure);
  assertEquals((await said()).at(-1), ["system", "", "No oil left"]);
});

Deno.test("what a daemon says is kept without the secrets in it, which drover's own has taken out already", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const secret = `gh${"p"}_abcdefghijklmnopqrstuvwxyz0123456789`;
  const left = "[redacted GitHub token]";
  const issue = await issueWith(team, ada);
  const comments = async () => {
    const all: Json[] = await team.ok(`GET /api/issues/${issue.id}/comments`, ada);
    return all.filter(({ author_type }) => author_type !== "member").map(({ content }) => content);
  };
  const said = (word: string) => [
    { seq: 1, type: "text", content: `It is ${word}.` },
    { seq: 2, type: "tool_use", tool: "sh", input: { command: ["echo", word], env: { A: word } } },
    { seq: 3, type: "tool_result", tool: "sh", output: `${word}\n` },
  ];
  const [first] = await team.claim(machine);
  await team.start(machine, first.id);
  await team.ok(`POST /api/daemon/tasks/${first.id}/messages`, ada, { messages: said(secret) });
  const clean = said(left).map((message) => ({ ...message, seq: message.seq + 3 }));
  await team.ok(`POST /api/daemon/tasks/${first.id}/messages`, ada, { messages: clean });
  const messages: Json[] = await team.ok(`GET /api/tasks/${first.id}/messages`, ada);
  assertEquals(
    messages.map(({ content, input, output }) => content ?? input ?? output),
    [...said(left), ...said(left)].map(({ content, input, output }) => content ?? input ?? output),
  );
  await team.complete(machine, first.id, `Use ${secret}`);
  assertEquals((await team.ok(`GET /api/tasks/${first.id}`, ada)).result.output, `Use ${left}`);
  assertEquals(await comments(), [`Use ${left}`]);
  await say(team, ada, issue.id, "Again.");
  const [second] = await team.claim(machine);
  await team.start(machine, second.id);
  const failure = { error: `Bad: ${secret}`, failure_reason: "agent_blocked" };
  await team.ok(`POST /api/daemon/tasks/${second.id}/fail`, ada, failure);
  assertEquals((await team.ok(`GET /api/tasks/${second.id}`, ada)).error, `Bad: ${left}`);
  assertEquals((await comments()).at(-1), `Bad: ${left}`);
  await say(team, ada, issue.id, "And again.");
  const [third] = await team.claim(machine);
  await team.ok(`POST /api/tasks/${third.id}/cancel`, ada);
  await team.ok(`POST /api/daemon/tasks/${third.id}/cancel-ack`, ada, { error_message: `Stopped with ${secret}` });
  assertEquals((await team.ok(`GET /api/tasks/${third.id}`, ada)).error, `Stopped with ${left}`);
});

Deno.test("an issue that nobody works on any more is to be done again", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada, { status: "in_progress" });
  for (const attempt of [1, 2]) {
    const [task] = await team.claim(machine);
    assertEquals(task.attempt, attempt);
    await team.start(machine, task.id);
    await team.ok(`POST /api/daemon/runtimes/${machine.runtimes[0]}/recover-orphans`, ada);
    const { status } = await team.ok(`GET /api/issues/${issue.id}`, ada);
    assertEquals(status, attempt === 1 ? "in_progress" : "todo");
  }
});

Deno.test("a task's token opens the issue of its task, as its agent, and nothing else", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  const other = await issueWith(team, ada, { agent: undefined });
  const [task] = await team.claim(machine);
  await team.start(machine, task.id);
  const token = task.auth_token;
  assertEquals((await team.ok(`GET /api/issues/${issue.id}`, token)).title, "Fix the door");
  const done = await team.ok(`PUT /api/issues/${issue.id}`, token, { status: "in_review" });
  assertEquals(done.status, "in_review");
  const comment = await say(team, token, issue.id, "Done.");
  assertEquals([comment.author_type, comment.author_id], ["agent", task.agent_id]);
  const home = { "x-workspace-id": "elsewhere" };
  assertEquals((await team.ok("GET /api/agents", token, undefined, home)).length, 1, "of its own workspace");
  const closed: [string, unknown, number][] = [
    [`GET /api/issues/${other.id}`, undefined, 404],
    [`PUT /api/issues/${other.id}`, { title: "Mine" }, 404],
    [`GET /api/issues/${other.id}/comments`, undefined, 404],
    [`POST /api/issues/${other.id}/comments`, { content: "Hi" }, 404],
    [`PUT /api/issues/${issue.id}`, { agent: "claude" }, 403],
    ["POST /api/issues", { title: "New" }, 401],
    ["GET /api/issues", undefined, 401],
    [`POST /api/issues/${issue.id}/tasks/cancel`, {}, 401],
    [`GET /api/tasks/${task.id}`, undefined, 401],
    ["POST /api/agents", { name: "x", runtime_id: machine.runtimes[0] }, 401],
    [`DELETE /api/runtimes/${machine.runtimes[0]}`, {}, 401],
    [`POST /api/runtimes/${machine.runtimes[0]}/update`, { target_version: "v9" }, 401],
    ["POST /api/daemon/tasks/claim", {}, 401],
  ];
  for (const [call, body, status] of closed) assertEquals((await team.call(call, token, body)).status, status, call);
  await team.complete(machine, task.id);
  assertEquals((await team.call(`GET /api/issues/${issue.id}`, token)).status, 401, "its token ends with it");
});

Deno.test("people see a task with its messages and usage, and cancel it", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  const [{ id }] = await team.claim(machine);
  await team.start(machine, id);
  const messages = [1, 2, 3].map((seq) => ({ seq, type: "text", content: `m${seq}` }));
  await team.ok(`POST /api/daemon/tasks/${id}/messages`, ada, { messages });
  await team.ok(`POST /api/daemon/tasks/${id}/usage`, ada, { usage: [{ model: "m", input_tokens: 5 }] });
  for (const path of [`/api/tasks/${id}/messages`, `/api/daemon/tasks/${id}/messages`]) {
    const later: Json[] = await team.ok(`GET ${path}?since=1`, ada);
    assertEquals(later.map(({ seq, content, task_id }) => [seq, content, task_id]), [[2, "m2", id], [3, "m3", id]]);
    assertEquals((await team.call(`GET ${path}?since=x`, ada)).status, 400);
  }
  const view = await team.ok(`GET /api/tasks/${id}`, ada);
  assertEquals([view.status, view.issue_id, view.usage[0].input_tokens], ["running", issue.id, 5]);
  assertEquals((await team.ok(`GET /api/tasks/${id}/usage`, ada)).usage, view.usage);
  assertEquals((await team.ok(`POST /api/tasks/${id}/cancel`, ada)).status, "cancelled");
  assertEquals(await team.ok(`POST /api/issues/${issue.id}/tasks/cancel`, ada), { cancelled: 0 });
});

Deno.test("the routes that only old daemons ask for: pending tasks, bundles, and the other name of the claim", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const [runtime] = machine.runtimes;
  await issueWith(team, ada);
  await issueWith(team, ada, { title: "Paint it" });
  const body = { daemon_id: machine.daemon, runtime_ids: machine.runtimes, max_tasks: 1 };
  const { tasks: [task] } = await team.ok("POST /api/daemon/claim", ada, body);
  const pending: Json[] = await team.ok(`GET /api/daemon/runtimes/${runtime}/tasks/pending`, ada);
  assertEquals(pending.map(({ status }) => status), ["dispatched", "queued"]);
  assertEquals("auth_token" in pending[0], false);
  const resolve = `POST /api/daemon/runtimes/${runtime}/tasks/${task.id}/skill-bundles/resolve`;
  assertEquals(await team.ok(resolve, ada, { skills: [] }), { bundles: [] });
  const unknown = await team.call(resolve, ada, { skills: [{ id: "s", source: "workspace", hash: "sha256:0" }] });
  assertEquals([unknown.status, unknown.body], [404, { error: "skill bundle not found" }]);
  await team.start(machine, task.id);
  assertEquals((await team.call(resolve, ada, { skills: [] })).status, 409);
});

Deno.test("our own daemon finds in claim and issue what its agent needs, each thing once", async () => {
  const { team, ada, machine } = await setUp();
  await using _team = team;
  const issue = await issueWith(team, ada);
  await say(team, ada, issue.id, "Mind the cat.");
  const promptFor = async (claimed: Json) => {
    const task = ClaimedTask.parse(claimed);
    assertEquals(task.prompt, "", "a task with a prompt of its own would not read its issue");
    const of = `/api/issues/${task.issue_id}`;
    return promptOf(task, {
      issue: readIssue(await team.ok(`GET ${of}`, task.auth_token)),
      comments: readComments(await team.ok(`GET ${of}/comments`, task.auth_token)),
    });
  };
  const times = (text: string, part: string) => text.split(part).length - 1;
  const [first] = await team.claim(machine, 5, "coalesced-comments-v1");
  const direct = await promptFor(first);
  for (const part of ["It squeaks.", "Mind the cat.", "HOM-1"]) assertEquals(times(direct, part), 1, direct);
  await team.start(machine, first.id);
  await say(team, ada, issue.id, "And the dog.");
  await say(team, ada, issue.id, "And the bird.");
  await team.complete(machine, first.id, "Minded them.");
  const [second] = await team.claim(machine, 5, "coalesced-comments-v1");
  const comment = await promptFor(second);
  for (const part of ["It squeaks.", "Mind the cat.", "And the dog.", "And the bird.", "Minded them."]) {
    assertEquals(times(comment, part), 1, `${part} in: ${comment}`);
  }
  assert(comment.indexOf("And the bird.") < comment.indexOf("It squeaks."), "what is wanted comes first");
  assertStringIncludes(comment, "you, ");
});
