/** What people ask of a daemon between its tasks, and what it answers (wire protocol 1.22 to 1.25, 3.10), as a server reads it. */
import * as z from "zod/mini";

// Lazy throughout, as in payloads.ts.

const text = z.catch(z.string(), "");
const flag = z.catch(z.boolean(), false);
/** Absent where a daemon of before does not know of it. */
const supported = z.catch(z._default(z.boolean(), true), true);
const rows = z.catch(z.nullish(z.array(z.record(z.string(), z.unknown()))), null);

export const UpdateWish = z.lazy(() => z.object({ target_version: z.string().check(z.regex(/^\S{1,100}$/)) }));
export const NoWish = z.lazy(() => z.object({}));
export const ImportWish = z.lazy(() => z.object({ skill_key: z.string().check(z.minLength(1), z.maxLength(500)) }));

export const UpdateResult = z.lazy(() =>
  z.object({ status: z.enum(["running", "completed", "failed"]), output: text, error: text })
);
export const ModelsResult = z.lazy(() =>
  z.object({ status: text, error: text, models: rows, supported, fallback: flag })
);
export const LocalSkillsResult = z.lazy(() =>
  z.object({ status: text, error: text, skills: rows, supported, mcp_servers: rows, mcp_supported: flag })
);
export const ImportResult = z.lazy(() =>
  z.object({ status: text, error: text, skill: z.catch(z.nullish(z.record(z.string(), z.unknown())), null) })
);
