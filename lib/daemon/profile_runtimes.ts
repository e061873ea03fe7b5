/** The runtime profiles of one server's workspaces as runtimes of this machine: fetched, found, and kept while they are the same. */
import type { Runtime, SkippedProvider } from "../core/model.ts";
import type { Logger } from "../core/ports.ts";
import { profileSignature, type RuntimeProfile } from "../core/runtime_profile.ts";
import type { RegisterRequest } from "../wire/payloads.ts";
import type { WireClient } from "../wire/client.ts";

/** What a profile is on this machine. */
export type FindProfile = (profile: RuntimeProfile, signal: AbortSignal) => Promise<Runtime | SkippedProvider>;

export interface WorkspaceProfiles {
  readonly runtimes: readonly Runtime[];
  readonly failed: RegisterRequest["failed_profiles"];
}

export interface ProfileRuntimes {
  /** Those of a workspace, fetched anew. A server that does not answer, or has no profiles, leaves what was known. */
  of(workspace: string, options: { signal: AbortSignal }): Promise<WorkspaceProfiles>;
  /** Whether a server's profiles are others than those that `of` returned last. */
  changed(workspace: string, options: { signal: AbortSignal }): Promise<boolean>;
  /** Of another version than it was. */
  put(runtime: Runtime): void;
}

interface Known extends WorkspaceProfiles {
  readonly signature: string;
  /** Names for people do not launch anything, but they are registered. */
  readonly names: string;
}

const NONE: Known = { signature: profileSignature([]), names: "[]", runtimes: [], failed: [] };

export function createProfileRuntimes(options: {
  readonly client: Pick<WireClient, "profiles">;
  readonly find: FindProfile;
  readonly log: Logger;
}): ProfileRuntimes {
  const { client, find, log } = options;
  const byWorkspace = new Map<string, Known>();
  const known = (workspace: string) => byWorkspace.get(workspace) ?? NONE;

  const fetched = async (workspace: string, signal: AbortSignal): Promise<readonly RuntimeProfile[] | undefined> => {
    const answer = await client.profiles(workspace, { signal });
    signal.throwIfAborted();
    if (answer.kind === "ok") return answer.value;
    // An old server has none; of any other the ones of before are a better guess than none.
    if (answer.status !== 404) log.warn("runtime profiles cannot be fetched", { workspace, why: answer.detail });
    return undefined;
  };

  const findAll = async (profiles: readonly RuntimeProfile[], signal: AbortSignal): Promise<WorkspaceProfiles> => {
    const results = await Promise.all(
      profiles.map(async (profile) => ({ profile, found: await find(profile, signal) })),
    );
    const failed = results.flatMap(({ profile, found }) =>
      "why" in found ? [{ profile_id: profile.id, command_name: profile.command, reason: found.detail }] : []
    );
    for (const { command_name, reason } of failed) {
      log.warn("a custom runtime cannot be used", { command_name, reason });
    }
    return { runtimes: results.flatMap(({ found }) => "why" in found ? [] : [found]), failed };
  };

  return {
    async of(workspace, { signal }) {
      const profiles = await fetched(workspace, signal);
      if (!profiles) return known(workspace);
      const signature = profileSignature(profiles);
      const names = JSON.stringify(profiles.map(({ id, displayName }) => [id, displayName]));
      const before = known(workspace);
      const same = before.signature === signature && before.names === names && before.failed.length === 0;
      const found = same ? before : await findAll(profiles, signal);
      byWorkspace.set(workspace, { ...found, signature, names });
      return found;
    },
    async changed(workspace, { signal }) {
      const profiles = await fetched(workspace, signal);
      return profiles !== undefined && profileSignature(profiles) !== known(workspace).signature;
    },
    put(runtime) {
      for (const [workspace, one] of byWorkspace) {
        const runtimes = one.runtimes.map((other) => other.profile?.id === runtime.profile?.id ? runtime : other);
        byWorkspace.set(workspace, { ...one, runtimes });
      }
    },
  };
}
