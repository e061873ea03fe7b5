/** Checking an object field by field, for the few that every command reads: zod alone takes longer to load than such a command. */

export type Check<T> = (value: unknown) => value is T;

/** What each field must be; unknown fields are nobody's business. */
export type Checks<T> = { readonly [Name in keyof T]-?: Check<T[Name]> };

export const isText: Check<string> = (value) => typeof value === "string";
export const isName: Check<string> = (value): value is string => isText(value) && value !== "";
export const isInteger: Check<number> = (value): value is number => Number.isSafeInteger(value);
export const isPositive: Check<number> = (value): value is number => isInteger(value) && value > 0;

export function isOneOf<const T>(...values: readonly T[]): Check<T> {
  return (value): value is T => (values as readonly unknown[]).includes(value);
}

export function isListOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(check);
}

export function isMapOf<T>(check: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value): value is Readonly<Record<string, T>> => isObject(value) && Object.values(value).every(check);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields that are checked, and none besides; or the name of the first that is not as it must be (`""`: no object). */
export function pick<T>(value: unknown, checks: Checks<T>): { readonly value: T } | { readonly wrong: string } {
  if (!isObject(value)) return { wrong: "" };
  const picked: Record<string, unknown> = {};
  for (const [name, check] of Object.entries<Check<unknown>>(checks)) {
    const field = Object.hasOwn(value, name) ? value[name] : undefined;
    if (!check(field)) return { wrong: name };
    picked[name] = field;
  }
  return { value: picked as T };
}
