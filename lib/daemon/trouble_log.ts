/** A trouble is logged when it begins, when it becomes another one, and when it is over: never once per try. */
import type { LogFields, Logger } from "../core/ports.ts";

export interface TroubleLog {
  failed(why: string, fields?: LogFields): void;
  fine(): void;
}

/** `fields` go with each line. */
export function createTroubleLog(
  log: Logger,
  { failed, fine, fields: always = {} }: { failed: string; fine: string; fields?: LogFields },
): TroubleLog {
  let now = "";
  return {
    failed(why, fields = {}) {
      if (why === now) log.debug(failed, { ...always, ...fields, why });
      else log.warn(failed, { ...always, ...fields, why });
      now = why;
    },
    fine() {
      if (now !== "") log.info(fine, always);
      now = "";
    },
  };
}
