/** The user API of a team server over HTTP: whose token goes where, and what is said of a server that is away or of another kind. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { writeCredentials } from "../../lib/app/credentials.ts";
import { openServerSession, planServerDirectory, type ServerSession } from "../../lib/app/server_api.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

const TOKEN = `mul_${"a".repeat(40)}`;

interface Other extends AsyncDisposable {
  readonly url: string;
  readonly heard: { readonly url: string; readonly headers: Headers }[];
}

function serverThat(answers: (request: Request) => Response): Other {
  const heard: { url: string; headers: Headers }[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    heard.push({ url: request.url, headers: new Headers(request.headers) });
    return answers(request);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    heard,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

interface Client extends AsyncDisposable {
  open(url?: string, workspace?: string): Promise<ServerSession>;
}

/** Logged in at `server`, on a machine whose clock goes on by itself. */
async function clientOf(server: string): Promise<Client> {
  const dir = await tempDirectory();
  const test = testHost();
  const host = { ...test.host, network: createNetwork() };
  const home = homeLayout(dir.at("home"));
  await writeCredentials(host, home, { server, token: TOKEN, user: null, expiresAt: null });
  return {
    open: (url, workspace) => openServerSession(host, home, { url, workspace }),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

async function refused(work: Promise<unknown>): Promise<DroverError> {
  return await assertRejects(() => work, DroverError);
}

Deno.test("the token of the login goes to its own server, with the workspace that is meant, and nowhere else", async () => {
  await using elsewhere = serverThat(() => Response.json({ tasks: [] }));
  let moved = "";
  await using server = serverThat(() =>
    moved ? new Response("", { status: 302, headers: { location: moved } }) : Response.json({ tasks: [] })
  );
  await using client = await clientOf(server.url);
  for (const url of [undefined, server.url, `${server.url}/`]) {
    using session = await client.open(url, "büro 1");
    assertEquals(await session.listTasks({ limit: 3 }), []);
  }
  const [first] = server.heard;
  assertEquals(server.heard.length, 3);
  assertEquals(new URL(first!.url).search, "?limit=3");
  assertEquals(first!.headers.get("authorization"), `Bearer ${TOKEN}`);
  assertEquals(decodeURIComponent(first!.headers.get("x-workspace-id")!), "büro 1");
  const other = await refused(client.open(elsewhere.url));
  assertEquals([other.code, other.hint], ["login_needed", `drover login --server ${elsewhere.url}`]);
  assertEquals((await refused(client.open("no address"))).code, "usage");
  moved = `${elsewhere.url}/v1/tasks`;
  using session = await client.open();
  assertEquals((await refused(session.listTasks())).code, "invalid_request");
  assertEquals(elsewhere.heard, []);
});

Deno.test("a server without this interface is told from one that is away, and from one that refuses", async () => {
  const answers: Readonly<Record<string, () => Response>> = {
    multica: () => new Response("404 page not found", { status: 404 }),
    multicaApi: () => Response.json({ error: "invalid token" }, { status: 401 }),
    webPages: () => new Response("<!doctype html>", { headers: { "content-type": "text/html" } }),
    proxy: () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
    ours: () => Response.json({ error: { code: "task_unknown", message: "no such", hint: "look" } }, { status: 404 }),
    revoked: () => Response.json({ error: { code: "login_refused", message: "not you" } }, { status: 401 }),
  };
  let now = "multica";
  await using server = serverThat(() => answers[now]!());
  await using client = await clientOf(server.url);
  using session = await client.open();
  const said = async (kind: string) => {
    now = kind;
    return await refused(session.showTask("abcd"));
  };
  for (const kind of ["multica", "multicaApi", "webPages"]) {
    const error = await said(kind);
    assertEquals(error.code, "invalid_request", kind);
    assertStringIncludes(error.message, "no drover user API");
    assertStringIncludes(error.hint!, "multica issue create");
  }
  const codes = [(await said("proxy")).code, (await said("ours")).code, (await said("revoked")).code];
  assertEquals(codes, ["server_unreachable", "task_unknown", "login_refused"]);
  const create = { prompt: "x", directory: { mode: "scratch" as const }, permission: "full" as const };
  now = "multica";
  assertEquals((await refused(session.createTask(create))).code, "invalid_request");
  const all = JSON.stringify(await Promise.all(Object.keys(answers).map(async (kind) => (await said(kind)).message)));
  assert(!all.includes(TOKEN.slice(4)));
});

Deno.test("a stream to a server that is away for a moment may be taken up again; one that refuses ends it", async () => {
  let answer = () => new Response("", { status: 503 });
  await using server = serverThat(() => answer());
  await using client = await clientOf(server.url);
  using session = await client.open();
  const follow = async () => {
    for await (const _ of session.follow("abcd", { since: 0, signal: new AbortController().signal })) break;
  };
  assertEquals((await refused(follow())).code, "not_running", "which is what makes a follower look again");
  answer = () => Response.json({ error: { code: "login_refused", message: "not you" } }, { status: 401 });
  assertEquals((await refused(follow())).code, "login_refused");
});

Deno.test("a task for another machine works in an empty directory, or where that was said on purpose", () => {
  const plan = (mode?: string, cwd?: string, worktree = false) => planServerDirectory({ mode, cwd, worktree });
  assertEquals([plan(), plan("scratch")], [{ mode: "scratch" }, { mode: "scratch" }]);
  assertEquals(plan("in-place", "/srv/x"), { mode: "in-place", path: "/srv/x" });
  const wrong: [string?, string?, boolean?][] = [
    [undefined, "/srv/x"],
    ["scratch", "/srv/x"],
    ["in-place"],
    ["in-place", "srv/x"],
    ["worktree", "/srv/x"],
    [undefined, undefined, true],
  ];
  for (const args of wrong) assertEquals(assertThrows(() => plan(...args), DroverError).code, "usage", String(args));
});
