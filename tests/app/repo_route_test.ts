/** Asking for a repository over HTTP: who may, what of, where to, and the answer that says so; the cache itself is a stand-in. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { answerCheckout } from "../../lib/app/repo_route.ts";
import { type CheckoutRequest, RepoError } from "../../lib/daemon/repo_cache.ts";
import { RunningTasks } from "../../lib/daemon/running_tasks.ts";
import { createFiles } from "../../lib/host/files.ts";
import { ClaimedTask } from "../../lib/wire/payloads.ts";
import { fakeClient, ok, refused } from "../daemon/fake_connection.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";

const TOKEN = `mat_${"1".repeat(40)}`;
const URL_OF = "https://example.test/acme/app";

interface Setup {
  readonly remote?: boolean;
  readonly repos?: readonly { url: string; ref?: string }[];
  /** What the server's list of the workspace says; absent = it cannot be had. */
  readonly listed?: readonly { url: string; ref?: string }[];
  readonly failure?: RepoError;
}

async function world(dir: TempDirectory, { remote = false, repos = [], listed, failure }: Setup = {}) {
  const workdir = dir.at("workdir");
  await Deno.mkdir(`${workdir}/sub`, { recursive: true });
  await Deno.mkdir(dir.at("elsewhere"));
  await Deno.symlink(dir.at("elsewhere"), `${workdir}/link`);
  const running = new RunningTasks();
  const asked: string[] = [];
  const client = fakeClient({
    call: (spec) => {
      asked.push(`${spec.method} ${spec.path}`);
      return Promise.resolve(listed ? ok(spec.decode!({ workspace_id: "w", repos: listed })) : refused(500));
    },
  });
  const task = ClaimedTask.parse({
    ...{ id: "0198a0de-0000-7000-8000-0123456789ab", workspace_id: "w", auth_token: TOKEN, agent_id: "a", repos },
    agent: { id: "a", name: "Big Bot" },
  });
  await running.enter({ task, connection: { name: "c", remote, client } as never, workdir }, []);
  const got: CheckoutRequest[] = [];
  const cache = {
    checkout: (request: CheckoutRequest) => {
      got.push(request);
      const { into, branch } = request;
      return failure ? Promise.reject(failure) : Promise.resolve({ path: `${into}/app`, branch, existed: false });
    },
  };
  const options = { running, cache, files: createFiles(), allowFile: false, signal: new AbortController().signal };
  const ask = async (body: unknown = {}, { token = TOKEN, method = "POST", path = "/repo/checkout" } = {}) => {
    const request = new Request(`http://127.0.0.1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(method === "POST"
        ? {
          body: typeof body === "string"
            ? body
            : JSON.stringify({ url: URL_OF, workspace_id: "w", workdir, ...body as object }),
        }
        : {}),
    });
    const response = await answerCheckout(request, options);
    return { status: response?.status, headers: response?.headers, text: await response?.text() ?? "" };
  };
  return { ask, got, asked, workdir, task };
}

Deno.test("a checkout goes into the asking task's directory, on a branch that the token's task gives its name", async () => {
  await using dir = await tempDirectory();
  const w = await world(dir);
  const answer = await w.ask({
    workdir: `${w.workdir}/sub`,
    ref: "v1",
    agent_name: "Somebody Else",
    task_id: w.task.id,
  });
  const branch = "drover/big-bot/0123456789ab";
  assertEquals(JSON.parse(answer.text), { path: `${w.workdir}/sub/app`, branch_name: branch, existed: false });
  assertEquals(w.got, [{ url: URL_OF, ref: "v1", workspace: "w", into: `${w.workdir}/sub`, branch }]);
  await w.ask({ checkout_mode: "isolated" });
  assertEquals(w.got[1]?.isolated, true);
});

const REFUSED:
  readonly (readonly [what: string, status: number, body: unknown, options?: { token?: string; method?: string }])[] = [
    ["without a token", 401, {}, { token: "" }],
    ["with the token of no task that runs", 401, "not even JSON", { token: `mat_${"2".repeat(40)}` }],
    ["of another workspace", 403, { workspace_id: "other" }],
    ["of another task", 403, { task_id: "other" }],
    ["into a directory outside", 403, { workdir: "/tmp" }],
    ["into a relative directory", 403, { workdir: "." }],
    ["through .. to the outside", 403, { workdir: "WORKDIR/../elsewhere" }],
    ["through a link to the outside", 403, { workdir: "WORKDIR/link" }],
    ["into a directory that is not there", 403, { workdir: "WORKDIR/missing" }],
    ["without an address", 400, { url: "" }],
    ["in a mode that there is not", 400, { checkout_mode: "magic" }],
    ["in no JSON", 400, "{"],
    ["in far too much of it", 400, `"${"x".repeat(100_000)}"`],
    ["by GET", 405, {}, { method: "GET" }],
  ];

for (const [what, status, body, options] of REFUSED) {
  Deno.test(`a checkout asked for ${what} is refused with ${status}, and nothing is fetched`, async () => {
    await using dir = await tempDirectory();
    const w = await world(dir);
    const there = typeof body === "string" ? body : JSON.parse(JSON.stringify(body).replaceAll("WORKDIR", w.workdir));
    const answer = await w.ask(there, options);
    assertEquals([answer.status, w.got], [status, []], answer.text);
    assertStringIncludes(answer.text, "Cannot ");
  });
}

Deno.test("a server's task gets what its claim names, with the ref named there, or else what its workspace has", async () => {
  await using dir = await tempDirectory();
  const w = await world(dir, {
    remote: true,
    repos: [{ url: "git@example.test:acme/app.git", ref: "develop" }],
    listed: [{ url: "https://example.test/acme/tools" }],
  });
  assertEquals([(await w.ask()).status, w.got[0]?.ref, w.asked], [200, "develop", []]);
  assertEquals((await w.ask({ url: "https://example.test/acme/tools", ref: "x" })).status, 200);
  assertEquals([w.got[1]?.ref, w.asked], ["x", ["GET /api/daemon/workspaces/w/repos"]]);
  const other = await w.ask({ url: "https://example.test/acme/secret" });
  assertEquals([other.status, w.got.length], [400, 2]);
  assertStringIncludes(other.text, "is not configured");
});

Deno.test("a server's task gets nothing while the list of its workspace cannot be had, and is told why", async () => {
  await using dir = await tempDirectory();
  const w = await world(dir, { remote: true });
  const answer = await w.ask();
  assertEquals([answer.status, w.got], [400, []]);
  assertStringIncludes(answer.text, "could not be read: status 500");
});

Deno.test("a repository that is busy is answered so that the caller comes again, and git's own trouble with its reason", async () => {
  await using dir = await tempDirectory();
  const busy = await (await world(dir, { failure: new RepoError("busy", "Cannot check out now") })).ask();
  assertEquals([busy.status, busy.headers?.get("retry-after"), busy.headers?.get("x-multica-retryable")], [
    503,
    "2",
    "repo-busy",
  ]);
  await using other = await tempDirectory();
  const failed = await (await world(other, { failure: new RepoError("failed", "Cannot check out: no route") })).ask();
  assertEquals(failed.status, 500);
  assertStringIncludes(failed.text, "no route");
});

Deno.test("answerCheckout() leaves requests for something else alone", async () => {
  await using dir = await tempDirectory();
  assertEquals((await (await world(dir)).ask({}, { path: "/health", method: "GET" })).status, undefined);
});
