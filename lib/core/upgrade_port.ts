/** Turning a request into a WebSocket, as an interface: what a server of daemons needs of it. */

export interface ServerSocket {
  /** Nothing happens where it is closed already. */
  send(frame: string): void;
  /** Bytes that were sent and that the other side has not taken. */
  readonly waiting: number;
  /** At once, whatever the other side does; `why` is at most 100 characters of ASCII. */
  close(why: string): void;
}

export interface UpgradeHandlers {
  /** Once, and before anything is heard; never where the other side went away too early. */
  opened(socket: ServerSocket): void;
  /** A frame, which may be of any size up to what the implementation takes. */
  text(frame: string): void;
  /** Once, for a socket that was open; `why` is for people. */
  closed(why: string): void;
}

/** The answer to give to the request, or `undefined` where it does not ask for a WebSocket, or not well enough. */
export type Upgrade = (request: Request, handlers: UpgradeHandlers) => Response | undefined;
