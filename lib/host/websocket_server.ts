/** WebSockets of daemons: upgrades a request of Deno's server, which pings and ends what does not answer. */
import type { Upgrade } from "../core/upgrade_port.ts";

/**
 * Deno pings when half of this has passed without a frame or a pong, and closes after the other half. There is no way to
 * set the two apart, nor to say how large a frame may be: it takes up to 64 MiB before we see any of it.
 */
const IDLE_S = 60;

export function createUpgrade({ idleSeconds = IDLE_S }: { readonly idleSeconds?: number } = {}): Upgrade {
  return (request, handlers) => {
    const upgraded = upgrade(request, idleSeconds);
    if (!upgraded) return undefined;
    const { socket, response } = upgraded;
    let state: "opening" | "open" | "over" = "opening";
    let trouble = "";
    const end = (why: string) => {
      const before = state;
      state = "over";
      if (before === "open") handlers.closed(why);
    };
    socket.onerror = (event) => trouble = (event as ErrorEvent).message || "connection failed";
    socket.onclose = ({ code, reason }) => end(reason || trouble || `closed with code ${code}`);
    // Nobody sends other frames than text; the size of one counts all the same.
    socket.onmessage = ({ data }) => {
      if (state === "open") handlers.text(typeof data === "string" ? data : " ".repeat(data.byteLength));
    };
    socket.onopen = () => {
      state = "open";
      handlers.opened({
        send(frame) {
          if (state === "open") socket.send(frame);
        },
        get waiting() {
          return socket.bufferedAmount;
        },
        close(why) {
          if (state !== "open") return;
          socket.close(1000, why);
          end("closed by us");
        },
      });
    };
    return response;
  };
}

function upgrade(request: Request, idleTimeout: number): Deno.WebSocketUpgrade | undefined {
  try {
    return Deno.upgradeWebSocket(request, { idleTimeout });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
