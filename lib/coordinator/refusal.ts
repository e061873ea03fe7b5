/** A call of the daemon protocol that is answered with an error. Daemons match on the text of a 404, so it is part of the protocol. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(readonly status: 400 | 401 | 403 | 404 | 409 | 503, readonly text: string) {
    super(text);
  }
}

export const ROUTE_MISSING = "404 page not found";
export const RUNTIME_GONE = "runtime not found";
export const TASK_GONE = "task not found";
export const WORKSPACE_GONE = "workspace not found";
/** There is such a thing, but not for this caller, or there is none: nobody can tell which from the answer. */
export const NOT_YOURS = "not found";
