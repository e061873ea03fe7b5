/** A repository that plays the server's part, and git as a test calls it: nothing of the git configuration of this machine. */
import { GIT_ENV } from "./git_env.ts";

export async function runGit(cwd: string, ...args: string[]): Promise<string> {
  const env = { ...GIT_ENV, GIT_OPTIONAL_LOCKS: "0" };
  const { success, stdout, stderr } = await new Deno.Command("git", { args, cwd, env, clearEnv: true }).output();
  if (!success) throw new Error(`git ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trimEnd();
}

export class GitServer {
  readonly url: string;
  readonly #work: string;
  readonly path: string;

  private constructor(root: string) {
    this.path = `${root}/server/app.git`;
    this.#work = `${root}/server/work`;
    this.url = `file://${this.path}`;
  }

  /** Its default branch is `main`, with one commit. */
  static async create(root: string): Promise<GitServer> {
    const server = new GitServer(root);
    await Deno.mkdir(server.#work, { recursive: true });
    await runGit(root, "init", "--quiet", "--bare", "-b", "main", server.path);
    await runGit(server.path, "config", "uploadpack.allowFilter", "true");
    await runGit(server.#work, "init", "--quiet", "-b", "main");
    await runGit(server.#work, "remote", "add", "origin", server.path);
    await server.commit("first");
    return server;
  }

  /** A file `file` with that text, pushed; the commit. */
  async commit(text: string, branch = "main"): Promise<string> {
    await Deno.writeTextFile(`${this.#work}/file`, text);
    await runGit(this.#work, "add", ".");
    await runGit(this.#work, "commit", "--quiet", "-m", text);
    await runGit(this.#work, "push", "--quiet", "origin", `HEAD:refs/heads/${branch}`);
    return await runGit(this.#work, "rev-parse", "HEAD");
  }

  async tag(name: string): Promise<void> {
    await runGit(this.#work, "tag", name);
    await runGit(this.#work, "push", "--quiet", "origin", name);
  }
}
