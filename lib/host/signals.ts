/** Operating-system signals as events. */
import type { Signals } from "../core/ports.ts";

export function createSignals(): Signals {
  return {
    on(names, handler) {
      const listeners = names.map((name) => {
        const listener = () => handler(name);
        Deno.addSignalListener(name, listener);
        return { name, listener };
      });
      return {
        [Symbol.dispose]() {
          for (const { name, listener } of listeners) Deno.removeSignalListener(name, listener);
        },
      };
    },
  };
}
