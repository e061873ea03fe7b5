/** Randomness from the system's generator. */
import type { Random } from "../core/ports.ts";

export function createRandom(): Random {
  return {
    uuid: () => crypto.randomUUID(),
    hex(bytes) {
      const data = crypto.getRandomValues(new Uint8Array(bytes));
      return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
    },
    fraction: () => Math.random(),
  };
}
