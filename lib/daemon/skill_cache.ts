/** The skills a claim only refers to: from the cache of the home, where a file's name is its content's hash, else from the server. */
import { join } from "@std/path";
import { type Clock, type Files, HostError, type Logger } from "../core/ports.ts";
import type { ClaimedTask, Skill, SkillRef } from "../wire/payloads.ts";
import type { WireClient } from "../wire/client.ts";
import { type CallResult, isTransient } from "../wire/retry.ts";
import { bundleHash, readBundle, type SkillBundle } from "../wire/skill_bundles.ts";
import { resolveSkill } from "../wire/task_calls.ts";

/** Before the 2nd and 3rd attempt (wire protocol 1.16). */
const WAITS_MS: readonly number[] = [500, 2_000];
const AT_ONCE = 4;
/** What a team uses at a time is far less; the rest is of yesterday's versions. */
const CACHED = { most: 120, kept: 100 } as const;

/** Its content is its own affair: any version that is whole will do. A plugin's is pinned. */
const ANY_VERSION: ReadonlySet<string> = new Set(["workspace", "builtin"]);

export interface SkillCacheOptions {
  readonly client: Pick<WireClient, "call">;
  /** Made when it is needed. */
  readonly directory: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export type ResolvedSkills =
  | { readonly kind: "resolved"; readonly skills: readonly Skill[] }
  /** `conflict`: the server says that this is not the time to ask, or that it has another version than it named. */
  | { readonly kind: "unavailable"; readonly why: string; readonly conflict: boolean };

/** In the order of the references. Rejects only when the signal aborts. */
export async function resolveSkills(
  task: Pick<ClaimedTask, "id" | "runtime_id">,
  refs: readonly SkillRef[],
  options: SkillCacheOptions,
): Promise<ResolvedSkills> {
  const skills: Skill[] = [];
  for (let at = 0; at < refs.length; at += AT_ONCE) {
    const some = await Promise.all(refs.slice(at, at + AT_ONCE).map((ref) => resolve(task, ref, options)));
    for (const one of some) {
      if ("why" in one) return one;
      skills.push(one);
    }
  }
  return { kind: "resolved", skills };
}

type Unavailable = Extract<ResolvedSkills, { kind: "unavailable" }>;

async function resolve(
  task: Pick<ClaimedTask, "id" | "runtime_id">,
  ref: SkillRef,
  options: SkillCacheOptions,
): Promise<SkillBundle | Unavailable> {
  const { client, clock, signal } = options;
  const held = await cached(ref, options);
  if (held) return held;
  for (let failures = 0;; failures++) {
    const answer = await checked(ref, await resolveSkill(client, task, ref, { signal }));
    if (answer.kind === "ok") {
      await keep(answer.value, options);
      return answer.value;
    }
    signal.throwIfAborted();
    const wait = WAITS_MS[failures];
    if (wait === undefined || !isTransient(answer)) {
      const why = `The skill ${ref.name || ref.id} could not be fetched: ${answer.detail}`;
      return { kind: "unavailable", why, conflict: answer.status === 409 };
    }
    await clock.sleep(wait, { signal });
  }
}

/** A bundle that is not what it says it is was damaged on its way: another try may do. */
async function checked(ref: SkillRef, answer: CallResult<SkillBundle>): Promise<CallResult<SkillBundle>> {
  if (answer.kind !== "ok") return answer;
  const { value } = answer;
  const hash = await bundleHash(value);
  const wanted = ANY_VERSION.has(ref.source) ? value.hash : ref.hash;
  if (hash === wanted) return answer;
  return { kind: "failed", code: "decode", status: 0, detail: `its content has the hash ${hash} and not ${wanted}` };
}

/** `undefined` also for what cannot be read or was changed: then it is fetched again. */
async function cached(ref: SkillRef, { directory, files, clock }: SkillCacheOptions): Promise<SkillBundle | undefined> {
  const path = pathOf(ref.hash, directory);
  if (!path) return undefined;
  try {
    const bundle = readBundle(JSON.parse(await files.readText(path)));
    if (!bundle || bundle.id !== ref.id || await bundleHash(bundle) !== ref.hash) return undefined;
    await files.setModified(path, clock.now());
    return bundle;
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A cache that cannot be written costs time, never the task. */
async function keep(bundle: SkillBundle, { directory, files, log }: SkillCacheOptions): Promise<void> {
  const path = pathOf(bundle.hash, directory);
  if (!path) return;
  try {
    await files.makeDirectory(directory);
    await files.writeAtomic(path, JSON.stringify(bundle), { sync: false });
    await forgetOldest(directory, files);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    log.warn("a skill could not be kept", { skill: bundle.name, error: error.message });
  }
}

async function forgetOldest(directory: string, files: Files): Promise<void> {
  const names = await files.list(directory);
  if (names.length <= CACHED.most) return;
  const aged = await Promise.all(names.map(async (name) => {
    const path = join(directory, name);
    return { path, used: (await files.stat(path))?.mtimeMs ?? 0 };
  }));
  const oldest = aged.toSorted((a, b) => a.used - b.used).slice(0, names.length - CACHED.kept);
  for (const { path } of oldest) await files.remove(path);
}

/** A server's word becomes the name of a file only where it is nothing but a hash. */
function pathOf(hash: string, directory: string): string | undefined {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(hash)?.[1];
  return hex && join(directory, `${hex}.json`);
}
