/** WebSockets to servers elsewhere, with the headers of a call, through the proxies and certificates of an environment. */
import type { Env } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";
import type { Dial, Socket } from "../core/socket_port.ts";
import { outwardHttpClient } from "./outward.ts";

/** What waits to leave: a server that takes nothing any more gets nothing more. */
const MAX_WAITING = 1 << 20;

/** The runtime takes headers and a client, which its types know of in some versions only. */
type Options = { headers: Record<string, string>; client: Deno.HttpClient };

export function outwardDial(env: Env): Dial {
  return async (url, { headers, handlers, signal }) => {
    signal.throwIfAborted();
    const client = await outwardHttpClient(new URL(url.replace(/^ws/, "http")), env);
    try {
      const socket = new WebSocket(url, { headers: { ...headers }, client } as Options as unknown as string[]);
      return await opened(socket, handlers, signal, () => client.close());
    } catch (error) {
      client.close();
      throw error;
    }
  };
}

function opened(
  socket: WebSocket,
  handlers: { text(frame: string): void; closed(why: string): void },
  signal: AbortSignal,
  release: () => void,
): Promise<Socket> {
  const { host } = new URL(socket.url);
  return new Promise((resolve, reject) => {
    let state: "opening" | "open" | "over" = "opening";
    let trouble = "";
    const end = (why: string) => {
      const before = state;
      state = "over";
      signal.removeEventListener("abort", abort);
      if (before === "opening") reject(new HostError("other", `Cannot open a WebSocket to ${host}: ${why}`));
      if (before !== "open") return;
      release();
      handlers.closed(why);
    };
    const abort = () => {
      socket.close();
      end(signal.reason instanceof Error ? signal.reason.message : String(signal.reason));
    };
    signal.addEventListener("abort", abort, { once: true });
    socket.onerror = (event) => {
      trouble = (event as ErrorEvent).message || "connection failed";
      end(trouble);
    };
    socket.onclose = ({ code, reason }) => end(reason || trouble || `closed with code ${code}`);
    socket.onmessage = ({ data }) => state === "open" && typeof data === "string" && handlers.text(data);
    socket.onopen = () => {
      if (state !== "opening") return socket.close();
      state = "open";
      signal.removeEventListener("abort", abort);
      resolve({
        send(frame) {
          if (state !== "open" || socket.readyState !== WebSocket.OPEN) return false;
          if (socket.bufferedAmount > MAX_WAITING) return false;
          socket.send(frame);
          return true;
        },
        close() {
          if (state !== "open") return;
          socket.close();
          end("closed by us");
        },
      });
    };
  });
}
