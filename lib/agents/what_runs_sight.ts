/** One look at a program at a time: finds its files, compares their marks, and reads them only where the rule asks for it. */
import { type FileMark, type Fingerprints, HostError, type Look } from "../core/ports.ts";
import { needsHash, type Sight, type Watch } from "../core/reload.ts";
import { ROLES, sightOf } from "../core/reload_sight.ts";
import { type WhatRuns, whatRuns } from "./what_runs.ts";
import { markOfPlaces } from "./what_runs_hints.ts";
import type { Surroundings } from "./what_runs_look.ts";

export interface SightOptions extends Surroundings {
  readonly fingerprints: Fingerprints;
  /** Places from which the CLI may run newer code. */
  readonly hints?: readonly string[];
}

/** Of one command path. Looks must not overlap. */
export class ProgramSight {
  readonly #command: string;
  readonly #options: SightOptions;
  #found: WhatRuns | undefined;
  #marks: ReadonlyMap<string, FileMark> = new Map();

  constructor(command: string, options: SightOptions) {
    this.#command = command;
    this.#options = options;
  }

  /** What the last look found to be running. */
  get found(): WhatRuns | undefined {
    return this.#found;
  }

  /** Rejects only with the signal's reason. */
  async look(watch: Watch, now: number, { signal }: { signal?: AbortSignal } = {}): Promise<Sight> {
    const glance = await this.#glance();
    if (glance.kind !== "seen" || !needsHash(watch, glance.mark, now)) return glance;
    // Whatever moved, or the marks do not show, may also be that other files run.
    const sight = await this.#resolve();
    if (sight.kind !== "seen") return sight;
    try {
      const digest = await this.#digest(signal);
      const after = await this.#glance();
      // Bytes that moved while they were read are nobody's.
      return after.kind === "seen" && after.mark === sight.mark ? { ...sight, digest } : after;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof HostError)) throw error;
      return error.code === "not-found" ? { kind: "missing" } : { kind: "unreadable", why: error.message };
    }
  }

  async #glance(): Promise<Sight> {
    const sight = this.#found && await this.#lookAtFiles(this.#found);
    // What is not there may have been moved, so that other files run.
    return sight?.kind === "seen" ? sight : await this.#resolve();
  }

  async #resolve(): Promise<Sight> {
    const { hints = [] } = this.#options;
    this.#found = await whatRuns(this.#command, this.#options, { hints });
    return await this.#lookAtFiles(this.#found);
  }

  async #lookAtFiles({ files }: WhatRuns): Promise<Sight> {
    const { fingerprints } = this.#options;
    const looks = await Promise.all(files.map(({ path }) => fingerprints.look(path, this.#marks.get(path))));
    this.#marks = new Map(files.flatMap(({ path }, i) => markOf(path, looks[i]!)));
    const sight = sightOf(files.map(({ role }, i) => ({ role, look: looks[i]! })));
    if (sight.kind !== "seen") return sight;
    return { ...sight, mark: sight.mark + await markOfPlaces(this.#options.hints ?? [], this.#options) };
  }

  /** Of a single file its own, which people can compare; of several that of their digests. */
  async #digest(signal: AbortSignal | undefined): Promise<string> {
    const { fingerprints } = this.#options;
    const hashed = this.#found?.files.filter(({ role }) => ROLES[role].hashed) ?? [];
    const digests: string[] = [];
    for (const { path } of hashed) digests.push(await fingerprints.hashFile(path, { signal }));
    return digests.length === 1 ? digests[0]! : await fingerprints.hashText(digests.join("\n"));
  }
}

function markOf(path: string, look: Look): [string, FileMark][] {
  return "mark" in look ? [[path, look.mark]] : [];
}
