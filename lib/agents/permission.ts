/** What is answered when an agent asks to be allowed something, by the task's permission: one rule for all protocols. */
import type { PermissionDecision, PermissionRequest } from "../core/message.ts";
import type { Permission } from "../core/model.ts";
import type { AgentIo } from "./backend.ts";

/** `reads`: the protocol itself says that what is asked changes nothing. */
export function decide(
  permission: Permission,
  request: PermissionRequest & { readonly reads: boolean },
  io: Pick<AgentIo, "ask">,
  withdrawn?: AbortSignal,
): PermissionDecision | Promise<PermissionDecision> {
  const { reads, ...asked } = request;
  switch (permission) {
    case "full":
      return { allow: true, why: "this run may do everything" };
    case "read-only":
      return reads
        ? { allow: true, why: "this run may read" }
        : { allow: false, why: `This run may only read, so ${request.tool || "this"} is not allowed` };
    case "ask":
      return io.ask(asked, withdrawn);
  }
}
