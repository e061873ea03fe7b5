/** The runtime profiles of one server's workspaces as runtimes of this machine: fetched, found, and kept while they are the same. */
import type { Runtime, SkippedProvider } from "../core/model.ts";
import type { Logger } from "../core/ports.ts";
import { profileSignature, type RuntimeProfile } from "../core/runtime_profile.ts";
import type { RegisterRequest } from "../wire/payloads.ts";
import type { WireClient } from "../wire/client.ts";
import type { AgentWatch } from "./agent_watch.ts";
import type { BinaryWatchOptions } from "./binary_watch.ts";

/** What a profile is on this machine. */
export type FindProfile = (profile: RuntimeProfile, signal: AbortSignal) => Promise<Runtime | SkippedProvider>;

export interface WorkspaceProfiles {
  readonly runtimes: readonly Runtime[];
  readonly failed: RegisterRequest["failed_profiles"];
}

export interface ProfileRuntimes {
  /**
   * Those of a workspace, fetched anew. A server that does not answer, or has no profiles, leaves what was known. `keep`
   * is for when they are registered: until then the ones of before are what the server has of us.
   */
  of(workspace: string, options: { signal: AbortSignal }): Promise<WorkspaceProfiles & { keep(): void }>;
  /** Whether a server's profiles, or the owner's word on them, are others than last time, or one could not be found. */
  changed(workspace: string, options: { signal: AbortSignal }): Promise<boolean>;
  /** Of another version than it was; what belongs to another server is left alone. */
  put(runtime: Runtime): void;
  /** Of no use any more, and why, until it is put again. */
  drop(runtime: Runtime, why: SkippedProvider): void;
}

interface Known extends WorkspaceProfiles {
  readonly signature: string;
  /** Names for people do not launch anything, but they are registered. */
  readonly names: string;
  readonly ids: readonly string[];
  readonly refused: string | undefined;
}

const NONE: Known = {
  signature: profileSignature([]),
  names: "[]",
  ids: [],
  runtimes: [],
  failed: [],
  refused: undefined,
};

export function createProfileRuntimes(options: {
  readonly client: Pick<WireClient, "profiles">;
  readonly find: FindProfile;
  /** Why those of a workspace are not used here, whatever they are; absent = they are. */
  readonly refusal?: (workspace: string) => string | undefined;
  readonly log: Logger;
}): ProfileRuntimes {
  const { client, find, refusal, log } = options;
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

  const findAll = async (
    profiles: readonly RuntimeProfile[],
    refused: string | undefined,
    signal: AbortSignal,
  ): Promise<WorkspaceProfiles> => {
    const skip = (
      { provider }: RuntimeProfile,
      detail: string,
    ) => ({ provider, why: "not-supported", detail } as const);
    const results = await Promise.all(profiles.map(async (profile) => {
      const found = refused === undefined ? await find(profile, signal) : skip(profile, refused);
      return { profile, found };
    }));
    const failed = results.flatMap(({ profile, found }) =>
      "why" in found ? [{ profile_id: profile.id, command_name: profile.command, reason: found.detail }] : []
    );
    for (const { command_name, reason } of failed) {
      log.warn("a custom runtime cannot be used", { command_name, reason });
    }
    return { runtimes: results.flatMap(({ found }) => "why" in found ? [] : [found]), failed };
  };

  /** Puts one thing in the place of whatever there was of a profile. */
  const change = (
    { profile }: Runtime,
    to: (id: string) => { runtime?: Runtime; failed?: WorkspaceProfiles["failed"][number] },
  ) => {
    for (const [workspace, one] of byWorkspace) {
      const id = one.ids.find((id) => id === profile?.id);
      if (id === undefined) continue;
      const { runtime, failed } = to(id);
      byWorkspace.set(workspace, {
        ...one,
        runtimes: [...one.runtimes.filter((other) => other.profile?.id !== id), ...(runtime ? [runtime] : [])],
        failed: [...one.failed.filter(({ profile_id }) => profile_id !== id), ...(failed ? [failed] : [])],
      });
    }
  };

  return {
    async of(workspace, { signal }) {
      const profiles = await fetched(workspace, signal);
      if (!profiles) return { ...known(workspace), keep() {} };
      const signature = profileSignature(profiles);
      const names = JSON.stringify(profiles.map(({ id, displayName }) => [id, displayName]));
      const before = known(workspace);
      // What could not be found may be there by now.
      const refused = refusal?.(workspace);
      const same = before.signature === signature && before.names === names && before.failed.length === 0 &&
        before.refused === refused;
      const found = same ? before : await findAll(profiles, refused, signal);
      const ids = profiles.map(({ id }) => id);
      return { ...found, keep: () => void byWorkspace.set(workspace, { ...found, signature, names, ids, refused }) };
    },
    async changed(workspace, { signal }) {
      const profiles = await fetched(workspace, signal);
      const { signature, failed, refused } = known(workspace);
      const other = refused !== refusal?.(workspace) && profiles?.length !== 0;
      return profiles !== undefined && (profileSignature(profiles) !== signature || failed.length > 0 || other);
    },
    put: (runtime) => change(runtime, () => ({ runtime })),
    drop: (runtime, { detail }) =>
      change(runtime, (profile_id) => ({ failed: { profile_id, command_name: runtime.executable, reason: detail } })),
  };
}

/** Where a changed runtime is put: into the list of what was found, or among those made from profiles. */
export function listOfBoth(
  found: Pick<AgentWatch, "put" | "drop">,
  custom: readonly ProfileRuntimes[],
): BinaryWatchOptions["agents"] {
  return {
    put: (runtime) => runtime.profile ? custom.forEach((one) => one.put(runtime)) : found.put(runtime),
    drop: (runtime, why) => runtime.profile ? custom.forEach((one) => one.drop(runtime, why)) : found.drop(why),
  };
}
