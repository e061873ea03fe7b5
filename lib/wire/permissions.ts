/** What goes over the control socket about permissions: what a running agent asks of a person, and the answer. */
import * as z from "zod/mini";

// Lazy throughout, as in payloads.ts.

/** An open question. What would be done in full stands in the task's message with the same `call_id`. */
export const PermissionView = z.lazy(() =>
  z.object({
    request_id: z.string(),
    tool: z.string(),
    /** One line. */
    title: z.string(),
    asked_at: z.string(),
    /** When it counts as refused. */
    expires_at: z.string(),
  })
);
export type PermissionView = z.infer<typeof PermissionView>;

/** `GET /v1/tasks/{id}/permissions` */
export const PermissionList = z.lazy(() => z.object({ task_id: z.string(), permissions: z.array(PermissionView) }));
export type PermissionList = z.infer<typeof PermissionList>;

/** `POST /v1/tasks/{id}/permissions/{request}` answers with the PermissionView it is about. */
export const AnswerPermission = z.lazy(() =>
  z.object({
    allow: z.boolean(),
    /** For the agent, and for whoever reads the task. */
    why: z.optional(z.string()),
    /** The same tool may be used for the rest of the run without asking. */
    always: z.optional(z.boolean()),
  })
);
export type AnswerPermission = z.infer<typeof AnswerPermission>;
