/** The connection to a team server as the daemon is given it: whose token, by which way, and what the owner said yes to. */
import type { Permission } from "../core/model.ts";
import type { Clock, Fetch, OutwardClient } from "../core/ports.ts";
import { watchedIn } from "../core/remote_settings.ts";
import type { Settings } from "../core/config.ts";
import type { Consent } from "../daemon/daemon_contract.ts";
import { type Credentials, isExpired } from "./credentials.ts";

/** `elsewhere`: the configured server, or the one that we are logged in at, is another one by now. */
export type LoginState = "accepted" | "untried" | "missing" | "refused" | "expired" | "elsewhere";

export interface WorkspaceView {
  readonly id: string;
  /** Empty until the server has named it. */
  readonly name: string;
  /** The most that its tasks may do; null where it is only available. */
  readonly policy: Permission | null;
}

/** What `status` says of it. */
export interface ServerView {
  readonly server: string;
  readonly user: Credentials["user"];
  readonly login: LoginState;
  /** What to do about the login; empty where it is fine. */
  readonly how: string;
  readonly expiresAt: string | null;
  readonly workspaces: readonly WorkspaceView[];
  /** When the server last said anything that we understood, in ms since 1970. */
  readonly lastContactAt: number | null;
}

export interface RemoteLinkOptions {
  readonly server: string;
  readonly outward: OutwardClient;
  readonly clock: Pick<Clock, "now">;
  /** As they are at this moment, as are the next. */
  readonly settings: () => Settings;
  readonly credentials: () => Credentials | undefined;
}

export class RemoteLink implements Consent, Disposable {
  readonly server: string;
  readonly #options: RemoteLinkOptions;
  readonly #listeners = new Set<() => void>();
  #found: readonly { readonly id: string; readonly name: string }[] = [];
  #lastContactAt: number | null = null;
  /** What the server said about this very token. */
  #verdict: { readonly token: string; readonly accepted: boolean } | undefined;

  constructor(options: RemoteLinkOptions) {
    this.#options = options;
    this.server = options.server;
  }

  /** Empty where there is none for this server: a token is shown to no other. */
  readonly token = (): string => {
    const login = this.#login();
    return login === "missing" || login === "elsewhere" ? "" : this.#options.credentials()!.token;
  };

  readonly fetch: Fetch = async (request) => {
    const token = this.token();
    const ours = request.headers.get("authorization") === `Bearer ${token}`.trim();
    if (ours && token === "") {
      return Response.json({ error: `not logged in: ${this.#how(this.#login())}` }, { status: 401 });
    }
    const response = await this.#options.outward.fetch(request);
    // Beyond 499 something in between may speak in the server's place.
    if (response.status < 500) this.#lastContactAt = this.#options.clock.now();
    // An agent's own token may be refused without ours being the worse for it.
    if (ours && response.status < 500) this.#verdict = { token, accepted: response.status !== 401 };
    return response;
  };

  watched(workspaceId: string): { readonly policy: Permission } | undefined {
    const settings = this.#options.settings();
    return settings.serverUrl === this.server ? watchedIn(settings, workspaceId) : undefined;
  }

  found(workspaces: readonly { readonly id: string; readonly name: string }[]): void {
    this.#found = workspaces.map(({ id, name }) => ({ id, name }));
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The settings or the credentials are other ones than before. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  view(): ServerView {
    const credentials = this.#options.credentials();
    const login = this.#login();
    const known = login === "missing" || login === "elsewhere" ? undefined : credentials;
    return {
      server: this.server,
      user: known?.user ?? null,
      login,
      how: this.#how(login),
      expiresAt: known?.expiresAt ?? null,
      workspaces: this.#workspaces(),
      lastContactAt: this.#lastContactAt,
    };
  }

  [Symbol.dispose](): void {
    this.#options.outward[Symbol.dispose]();
  }

  /** Those that the server has, and those that are watched and that it does not know (any more). */
  #workspaces(): WorkspaceView[] {
    const { watchedWorkspaces } = this.#options.settings();
    const known = new Set(this.#found.map(({ id }) => id.toLowerCase()));
    const missing = Object.keys(watchedWorkspaces).filter((id) => !known.has(id)).map((id) => ({ id, name: "" }));
    return [...this.#found, ...missing].map(({ id, name }) => ({
      id,
      name,
      policy: this.watched(id)?.policy ?? null,
    }));
  }

  #login(): LoginState {
    const credentials = this.#options.credentials();
    if (this.#options.settings().serverUrl !== this.server) return "elsewhere";
    if (!credentials) return "missing";
    if (credentials.server !== this.server) return "elsewhere";
    const verdict = this.#verdict?.token === credentials.token ? this.#verdict : undefined;
    if (verdict?.accepted) return "accepted";
    if (isExpired(credentials, this.#options.clock.now())) return "expired";
    return verdict ? "refused" : "untried";
  }

  #how(login: LoginState): string {
    if (login === "accepted" || login === "untried") return "";
    const other = this.#options.settings().serverUrl;
    if (other !== this.server) return `the configured server is ${other || "none"} by now: drover restart`;
    return HOW[login];
  }
}

const HOW: Readonly<Record<Exclude<LoginState, "accepted" | "untried">, string>> = {
  missing: "log in: drover login",
  refused: "the server does not accept the token any more, log in again: drover login",
  expired: "the token has expired, log in again: drover login",
  elsewhere: "logged in at another server, log in at this one: drover login",
};
