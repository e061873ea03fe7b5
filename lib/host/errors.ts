/** Turns what the runtime throws into the `HostError`s that the rest of drover branches on. */
import { HostError, type HostErrorCode } from "../core/ports.ts";

/** By `error.code` where the runtime gives one (errno names), else by the error's class. */
const BY_ERRNO: Record<string, HostErrorCode> = {
  ENOENT: "not-found",
  ENOTDIR: "not-found",
  EEXIST: "exists",
  EACCES: "permission",
  EPERM: "permission",
  EROFS: "read-only",
  ENOSPC: "no-space",
  EDQUOT: "no-space",
  EADDRINUSE: "address-in-use",
  ECONNREFUSED: "refused",
  EMFILE: "exhausted",
  ENFILE: "exhausted",
  ENOBUFS: "exhausted",
  ENOMEM: "exhausted",
};

const BY_NAME: Record<string, HostErrorCode> = {
  NotFound: "not-found",
  NotADirectory: "not-found",
  AlreadyExists: "exists",
  PermissionDenied: "permission",
  NotCapable: "permission",
  ReadOnlyFilesystem: "read-only",
  FilesystemQuotaExceeded: "no-space",
  StorageFull: "no-space",
  AddrInUse: "address-in-use",
  ConnectionRefused: "refused",
};

/** For errors that carry neither a code nor a class of their own, only the system's words. */
const BY_OS_ERROR: Record<number, HostErrorCode> = {
  12: "exhausted",
  23: "exhausted",
  24: "exhausted",
  28: "no-space",
  30: "read-only",
  122: "no-space",
};

export function hostErrorCode(error: unknown): HostErrorCode {
  if (error instanceof HostError) return error.code;
  if (!(error instanceof Error)) return "other";
  const errno = (error as Error & { code?: unknown }).code;
  if (typeof errno === "string" && BY_ERRNO[errno]) return BY_ERRNO[errno];
  const named = BY_NAME[error.name];
  if (named) return named;
  const os = /\(os error (\d+)\)/.exec(error.message);
  return (os && BY_OS_ERROR[Number(os[1])]) || "other";
}

/** `action` and `subject` make the message: "Cannot read /x: No such file or directory". */
export function toHostError(error: unknown, action: string, subject: string): HostError {
  const cause = error instanceof Error ? error.message.replace(/ \(os error \d+\).*$/, "") : String(error);
  return new HostError(hostErrorCode(error), `Cannot ${action} ${subject}: ${cause}`, { cause: error });
}

/** Runs one effect; whatever it throws becomes a `HostError` that names it. */
export async function effect<T>(action: string, subject: string, fn: () => T | Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    throw toHostError(error, action, subject);
  }
}
