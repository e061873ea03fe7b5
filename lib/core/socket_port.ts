/** A WebSocket as an interface: text frames both ways, and one word when it is over. */

export interface SocketHandlers {
  text(frame: string): void;
  /** Once, for a socket that was open; `why` is for people. */
  closed(why: string): void;
}

export interface Socket {
  /** False where the frame certainly never leaves: closed, or too much waits already. */
  send(frame: string): boolean;
  /** At once, whatever the other side does. */
  close(): void;
}

/** Rejects when there is no open socket, and as soon as the signal aborts. */
export type Dial = (
  url: string,
  options: {
    readonly headers: Readonly<Record<string, string>>;
    readonly handlers: SocketHandlers;
    readonly signal: AbortSignal;
  },
) => Promise<Socket>;
