/** Runtime profiles over the wire: as daemons fetch them (wire protocol 4.1) and as people see and change them. */
import * as z from "zod/mini";
import { type RuntimeProfile, VISIBILITIES } from "../core/runtime_profile.ts";

// Lazy throughout, as in payloads.ts.

const text = z.catch(z.string(), "");

const WireProfile = z.lazy(() =>
  z.object({
    id: z.string().check(z.minLength(1)),
    display_name: text,
    protocol_family: text,
    command_name: text,
    fixed_args: z.catch(z.nullish(z.array(z.string())), null),
    /** drover's own. */
    env: z.catch(z.nullish(z.record(z.string(), z.string())), null),
    visibility: z.catch(z.enum(VISIBILITIES), "workspace"),
    enabled: z.catch(z.boolean(), true),
  })
);

/** `GET /api/daemon/workspaces/{wid}/runtime-profiles`. Those without a command or a family are left out, as they must be. */
export function readProfiles(value: unknown): readonly RuntimeProfile[] {
  const answer = z.object({ runtime_profiles: z.nullable(z.array(WireProfile)) }).parse(value);
  return (answer.runtime_profiles ?? [])
    .map((profile) => ({
      id: profile.id,
      displayName: profile.display_name,
      provider: profile.protocol_family.trim(),
      command: profile.command_name.trim(),
      fixedArgs: profile.fixed_args ?? [],
      env: profile.env ?? {},
      visibility: profile.visibility,
      enabled: profile.enabled,
    }))
    .filter(({ command, provider, enabled }) => command !== "" && provider !== "" && enabled);
}

/** `POST /v1/runtime-profiles` */
export const CreateProfile = z.lazy(() =>
  z.object({
    display_name: z.string(),
    /** A provider of drover's table. */
    protocol_family: z.string().check(z.regex(/^[a-z][a-z0-9-]*$/)),
    command_name: z.string(),
    description: z.optional(z.string()),
    fixed_args: z._default(z.array(z.string()), []),
    env: z._default(z.record(z.string(), z.string()), {}),
    visibility: z._default(z.enum(VISIBILITIES), "workspace"),
  })
);
export type CreateProfile = z.infer<typeof CreateProfile>;

/** `PATCH /v1/runtime-profiles/{name or id}` */
export const ChangeProfile = z.lazy(() => z.object({ enabled: z.boolean() }));

/** As people see it: of the environment only the names, since values may be secrets. */
export const ProfileView = z.lazy(() =>
  z.object({
    id: z.string(),
    display_name: z.string(),
    protocol_family: z.string(),
    command_name: z.string(),
    description: z.nullable(z.string()),
    fixed_args: z.array(z.string()),
    env: z.array(z.string()),
    visibility: z.enum(VISIBILITIES),
    enabled: z.boolean(),
    created_at: z.string(),
    updated_at: z.string(),
  })
);
export type ProfileView = z.infer<typeof ProfileView>;

/** `GET /v1/runtime-profiles` */
export const ProfileList = z.lazy(() => z.object({ profiles: z.array(ProfileView) }));
