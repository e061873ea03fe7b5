/** A request of a user that is refused: a stable code, and text for people. */
import type { ControlError } from "../wire/control.ts";
import { USER_ERRORS } from "../wire/control.ts";

export type UserErrorCode = keyof typeof USER_ERRORS;

export class UserRefusal extends Error {
  override readonly name = "UserRefusal";
  constructor(readonly code: UserErrorCode, message: string, readonly hint?: string) {
    super(message);
  }

  get status(): number {
    return USER_ERRORS[this.code];
  }

  get body(): ControlError {
    return { error: { code: this.code, message: this.message, ...(this.hint ? { hint: this.hint } : {}) } };
  }
}
