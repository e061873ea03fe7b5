/** A fake agent CLI that notes each run and can be held: whether a task ran, how often, and by which version. */
import { join } from "@std/path";
import { eventually, type TestHome } from "./drover.ts";

export class CountingAgent {
  readonly #home: TestHome;
  readonly #notes: string;
  readonly #go: string;

  constructor(home: TestHome) {
    this.#home = home;
    this.#notes = join(home.root, "runs.txt");
    this.#go = join(home.root, "go");
  }

  /**
   * Puts the CLI there, or another version of it, which may be slow to say so. A task whose prompt says `hold` waits for
   * `release()`.
   */
  async install(version: string, { versionTakesS = 0 } = {}): Promise<void> {
    await this.#home.script(
      "llm",
      `[ "$1" = --version ] && { sleep ${versionTakesS}; echo "llm, version ${version}"; exit; }
prompt="$* $(cat)"
name=$(echo "$prompt" | grep -o 'task-[a-z0-9]*' | head -n 1)
echo "$name ${version} begun" >> '${this.#notes}'
case "$prompt" in *hold*) while [ ! -e '${this.#go}' ]; do sleep 0.05; done;; esac
echo "$name ${version} done" >> '${this.#notes}'
echo "$name is done"`,
    );
  }

  async release(): Promise<void> {
    await Deno.writeTextFile(this.#go, "");
  }

  /** Lines such as `task-a 1.0.0 begun`. */
  async notes(): Promise<string[]> {
    const text = await Deno.readTextFile(this.#notes).catch(() => "");
    return text.split("\n").filter(Boolean);
  }

  async noted(line: string): Promise<void> {
    await eventually(async () => (await this.notes()).includes(line), `the agent notes: ${line}`, 60_000);
  }
}
