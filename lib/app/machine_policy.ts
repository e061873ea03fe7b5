/** The administrator's policy for this machine: read where nobody else could have written it, and refused on. */
import { mergeSettings, SettingError } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import {
  applyPolicy,
  describePolicy,
  isServerAllowed,
  MACHINE_POLICY_FILE,
  type MachinePolicy,
  NO_POLICY,
  readMachinePolicy,
  whyNotAdmins,
} from "../core/machine_policy.ts";
import { type Host, HostError } from "../core/ports.ts";
import { readConfigFile } from "./config_file.ts";
import { count, type Finding, ok, problem } from "./doctor_check.ts";

export type PolicyLook =
  | { readonly kind: "none" }
  | { readonly kind: "in-force"; readonly policy: MachinePolicy }
  /** Somebody else than root could have written it: it has no say. */
  | { readonly kind: "not-believed"; readonly path: string; readonly why: string }
  /** Root wrote it and it cannot be used: to go on without it would allow what it forbids. */
  | { readonly kind: "unusable"; readonly why: string };

type PolicyPorts = Pick<Host, "files">;

/** The file and every directory above it are root's alone, also where a link leads. */
export async function lookAtPolicy({ files }: PolicyPorts): Promise<PolicyLook> {
  try {
    const path = await files.realPath(MACHINE_POLICY_FILE);
    for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
      const info = await files.stat(at);
      const why = info && whyNotAdmins(info);
      if (why) return { kind: "not-believed", path: at, why };
    }
    const read = readMachinePolicy(await files.readText(path));
    return "policy" in read ? { kind: "in-force", policy: read.policy } : { kind: "unusable", why: read.wrong };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return error.code === "not-found" ? { kind: "none" } : { kind: "unusable", why: error.message };
  }
}

/** What counts here. Throws `config_invalid` where root's file cannot be used. */
export async function machinePolicy(ports: PolicyPorts): Promise<MachinePolicy> {
  const look = await lookAtPolicy(ports);
  if (look.kind === "in-force") return look.policy;
  if (look.kind !== "unusable") return NO_POLICY;
  throw new DroverError(
    "config_invalid",
    `Cannot use the policy of this machine in ${MACHINE_POLICY_FILE}: ${look.why}`,
    {
      hint: "whoever administers this machine has to mend it",
    },
  );
}

/** Before a token is sent anywhere. Throws `policy_refused`. */
export async function demandServerAllowed(ports: PolicyPorts, server: string): Promise<void> {
  const policy = await machinePolicy(ports);
  if (isServerAllowed(policy, server)) return;
  const allowed = policy.servers?.join(", ");
  throw refused(`Cannot use ${server}`, allowed ? `it allows ${allowed}` : "it allows no server");
}

/** Before anybody is asked to agree to it. Throws `policy_refused`. */
export async function demandRemoteAllowed(ports: PolicyPorts): Promise<void> {
  const { settings } = await machinePolicy(ports);
  if (settings.remoteEnabled === false) throw refused("Cannot enable remote", "it takes no work from a server");
}

function refused(what: string, why: string): DroverError {
  return new DroverError("policy_refused", `${what}: the policy of this machine forbids it, ${why}`, {
    hint: `it is in ${MACHINE_POLICY_FILE}; ask whoever administers this machine`,
  });
}

/** For `drover doctor`; nothing where there is no policy. */
export async function checkPolicy(host: Host, home: Home): Promise<readonly Finding[]> {
  const look = await lookAtPolicy(host);
  if (look.kind === "none") return [];
  if (look.kind === "not-believed") {
    const why = `${MACHINE_POLICY_FILE} has no effect: of ${look.path}, ${look.why}`;
    return [problem(why, `as root: chown root ${look.path} && chmod go-w ${look.path}`)];
  }
  if (look.kind === "unusable") {
    return [
      problem(`${MACHINE_POLICY_FILE} cannot be used: ${look.why}`, "whoever administers this machine has to mend it"),
    ];
  }
  const overridden = await overriddenHere(host, home, look.policy);
  const rules = describePolicy(look.policy);
  return [ok(
    `${MACHINE_POLICY_FILE} is in force: ${rules.join("; ") || "it lays down nothing"}`,
    overridden.length > 0
      ? [
        `${count(overridden.length, "setting")} of yours ${overridden.length === 1 ? "is" : "are"} overridden`,
        ...overridden,
      ]
      : [],
  )];
}

async function overriddenHere(host: Host, home: Home, policy: MachinePolicy): Promise<readonly string[]> {
  try {
    const users = mergeSettings({ flags: {}, env: host.system.env, file: await readConfigFile(host, home) });
    return applyPolicy(policy, users).overridden.map(({ key, wanted, counts }) =>
      `${key}: ${JSON.stringify(wanted)} is wanted, ${JSON.stringify(counts)} counts`
    );
  } catch (error) {
    // Another check tells of settings that cannot be used.
    if (error instanceof SettingError || error instanceof DroverError) return [];
    throw error;
  }
}
