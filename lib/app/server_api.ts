/** The user API of a team server of drover's own kind: over HTTP, with the stored login, in one workspace. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { DirectoryRequest } from "../core/model.ts";
import type { Fetch, Host } from "../core/ports.ts";
import { serverUrlOf } from "../core/remote_settings.ts";
import { type OtherSide, type UserApi, userApiOver } from "./control_client.ts";
import { readCredentials } from "./credentials.ts";
import { requireLogin } from "./login.ts";

export interface ServerWish {
  /** As typed; absent: the server of the login. */
  readonly url: string | undefined;
  /** Name or id; absent: the only one that the token opens. */
  readonly workspace: string | undefined;
}

export interface ServerSession extends UserApi {
  readonly server: string;
  /** The same session once the server answers again, `undefined` until then. Waits a moment first. */
  comeBack(): Promise<UserApi | undefined>;
}

/** A server that is set up anew behind its proxy is away for some minutes at most. */
export const SERVER_PATIENCE = {
  ms: 5 * 60_000,
  hint: (task: string) => `look later with: drover tasks follow ${task} --server`,
};
/** Between two looks: as many clients may wait for one server. */
const COME_BACK_MS = 1_000;

/** Nothing is asked of the server yet. Throws `usage`, `login_needed`. */
export async function openServerSession(host: Host, home: Home, wish: ServerWish): Promise<ServerSession> {
  const { server, token } = await loginFor(host, home, wish.url);
  const outward = host.network.outward(host.system.env);
  const fetch = authorized(outward.fetch, { server, token, workspace: wish.workspace });
  const api = userApiOver(fetch, host.clock, { other: otherSide(server), dispose: () => outward[Symbol.dispose]() });
  const session: ServerSession = {
    ...api,
    server,
    permissions: () => Promise.resolve([]),
    answerPermission: () => Promise.reject(ASKED_ELSEWHERE),
    async comeBack() {
      await host.clock.sleep(COME_BACK_MS);
      try {
        await api.queue();
        return session;
      } catch (error) {
        // Whoever follows is told the same, and why.
        if (error instanceof DroverError && error.code === "login_refused") return session;
        return undefined;
      }
    },
  };
  return session;
}

/** The owner of the machine where a task runs decides; the server only shows what was asked. */
const ASKED_ELSEWHERE = new DroverError("not_asked", "Cannot answer from here: the machine where the task runs asks", {
  hint: "its owner answers there, with drover tasks approve or deny",
});

async function loginFor(host: Host, home: Home, url: string | undefined): Promise<{ server: string; token: string }> {
  if (url === undefined) return await requireLogin(host, home);
  const server = serverUrlOf(url);
  if (server === undefined) {
    throw new DroverError("usage", `Cannot use --server ${url}: it must be an address such as https://drover.example`);
  }
  const credentials = await readCredentials(host, home);
  if (credentials?.server === server) return { server, token: credentials.token };
  const where = credentials ? `at ${credentials.server}, not at ${server}` : "at any server";
  throw new DroverError("login_needed", `Cannot ask ${server}: ${credentials ? "" : "not "}logged in ${where}`, {
    hint: `drover login --server ${server}`,
  });
}

/** The token goes to its server and nowhere else, a redirection included. */
function authorized(
  fetch: Fetch,
  { server, token, workspace }: { server: string; token: string; workspace: string | undefined },
): Fetch {
  return (request) => {
    const { pathname, search } = new URL(request.url);
    const headers = new Headers(request.headers);
    headers.set("authorization", `Bearer ${token}`);
    if (workspace !== undefined) headers.set("x-workspace-id", encodeURIComponent(workspace));
    const { method, body, signal } = request;
    return fetch(new Request(server + pathname + search, { method, headers, body, signal, redirect: "manual" }));
  };
}

const AWAY = new Set([502, 503, 504]);

function otherSide(server: string): OtherSide {
  const away = (why: string, cause?: unknown) =>
    new DroverError("server_unreachable", `Cannot reach the server ${server}: ${why}`, {
      hint: "check the address, the network and HTTPS_PROXY, then try again; whether a task was queued says: " +
        "drover tasks list --server",
      cause,
    });
  return {
    unreachable: away,
    unreadable: (status) =>
      AWAY.has(status)
        ? away(`the answer was status ${status}`)
        : notHere(server, "use its tasks from here", `it has no drover user API (status ${status})`),
  };
}

/** Of a server of another kind, such as Multica's own. */
function notHere(server: string, what: string, why: string): DroverError {
  return new DroverError("invalid_request", `Cannot ${what} at ${server}: ${why}`, {
    hint: "a Multica server takes tasks as issues, in its web pages or with its own command line (multica issue " +
      "create), and hands them to the daemons of its users; drover run --server is for what drover serve serves",
  });
}

export interface ServerDirectoryWish {
  readonly mode: string | undefined;
  readonly cwd: string | undefined;
  readonly worktree: boolean;
}

/** Where a task works on whichever machine claims it: in an empty directory, unless a path there was named on purpose. */
export function planServerDirectory({ mode, cwd, worktree }: ServerDirectoryWish): DirectoryRequest {
  if (worktree) {
    throw new DroverError("usage", "Cannot combine --server and --worktree: this repository is on this machine", {
      hint: "have the agent clone it, or name a directory of the other machine: --directory-mode in-place --cwd PATH",
    });
  }
  if (mode === undefined || mode === "scratch") {
    if (cwd === undefined) return { mode: "scratch" };
    throw new DroverError("usage", "Cannot combine --server and --cwd: the task runs on another machine", {
      hint: "if the directory is there as well, say so: --directory-mode in-place --cwd PATH",
    });
  }
  if (mode !== "in-place") {
    throw new DroverError("usage", `Cannot use --directory-mode ${mode}: it must be scratch or in-place`);
  }
  if (cwd?.startsWith("/")) return { mode: "in-place", path: cwd };
  throw new DroverError("usage", "Cannot work in place on another machine: --cwd must name an absolute path there", {
    hint: "for example --directory-mode in-place --cwd /srv/project",
  });
}
