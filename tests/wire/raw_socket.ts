/** A WebSocket by hand, over plain TCP: what is sent may break every rule, and what comes is seen frame by frame. */

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface RawFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** The server has answered the handshake in another way than with an upgrade. */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(readonly status: number, readonly body: string) {
    super(`The handshake was answered with ${status}: ${body}`);
  }
}

const PATIENCE_MS = 10_000;
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export class RawSocket implements Disposable {
  #buffer = new Uint8Array(0);
  #over = false;

  private constructor(readonly connection: Deno.Conn) {}

  /** Throws `Refused`. `url` is that of the server with `http:`. */
  static async open(url: string, headers: Readonly<Record<string, string>>): Promise<RawSocket> {
    const { hostname, port, host, pathname, search } = new URL(url);
    const socket = new RawSocket(await Deno.connect({ hostname, port: Number(port) }));
    const lines = {
      host,
      upgrade: "websocket",
      connection: "Upgrade",
      "sec-websocket-version": "13",
      "sec-websocket-key": btoa("0123456789abcdef"),
      ...headers,
    };
    const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    await socket.write(ENCODER.encode(`GET ${pathname}${search} HTTP/1.1\r\n${head}\r\n`));
    const answer = await socket.#head();
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
    if (status === 101) return socket;
    const length = Number(/content-length: (\d+)/i.exec(answer)?.[1] ?? 0);
    const body = DECODER.decode(await socket.#take(length));
    socket[Symbol.dispose]();
    throw new Refused(status, body);
  }

  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    this.connection.close();
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length;) from += await this.connection.write(bytes.subarray(from));
  }

  /** A whole frame as a client sends it: masked. */
  send(payload: Uint8Array | string, opcode: number = OPCODE.text): Promise<void> {
    return this.write(frameOf(typeof payload === "string" ? ENCODER.encode(payload) : payload, { opcode }));
  }

  /** The next frame; `undefined` once the connection has ended. Throws when there is none for ten seconds. */
  async frame(patienceMs = PATIENCE_MS): Promise<RawFrame | undefined> {
    const timer = setTimeout(() => this[Symbol.dispose](), patienceMs);
    try {
      const [first = 0, second = 0] = await this.#take(2);
      const length = second & 0x7f;
      const extended = length < 126 ? undefined : await this.#take(length === 126 ? 2 : 8);
      const size = extended ? extended.reduce((sum, byte) => sum * 256 + byte, 0) : length;
      return { opcode: first & 0x0f, payload: await this.#take(size) };
    } catch (error) {
      if (this.#over) throw new Error(`No frame came within ${patienceMs} ms`, { cause: error });
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next text frame as JSON; pings are answered. `undefined` once the server has closed. */
  // deno-lint-ignore no-explicit-any
  async json(patienceMs = PATIENCE_MS): Promise<any> {
    while (true) {
      const frame = await this.frame(patienceMs);
      if (!frame || frame.opcode === OPCODE.close) return undefined;
      if (frame.opcode === OPCODE.ping) await this.send(frame.payload, OPCODE.pong);
      if (frame.opcode === OPCODE.text) return JSON.parse(DECODER.decode(frame.payload));
    }
  }

  async #head(): Promise<string> {
    let text = "";
    while (!text.endsWith("\r\n\r\n")) text += DECODER.decode(await this.#take(1));
    return text;
  }

  async #take(count: number): Promise<Uint8Array> {
    while (this.#buffer.length < count) {
      const chunk = new Uint8Array(16_384);
      const read = await this.connection.read(chunk);
      if (read === null) throw new Error("The connection has ended");
      const joined = new Uint8Array(this.#buffer.length + read);
      joined.set(this.#buffer);
      joined.set(chunk.subarray(0, read), this.#buffer.length);
      this.#buffer = joined;
    }
    const taken = this.#buffer.slice(0, count);
    this.#buffer = this.#buffer.slice(count);
    return taken;
  }
}

export interface FrameShape {
  readonly opcode?: number;
  /** More of the same message follows. */
  readonly more?: boolean;
  /** A client's frames have to be. */
  readonly masked?: boolean;
  /** Bits that nobody has agreed on. */
  readonly reserved?: number;
  /** What the frame says instead of its true length. */
  readonly claims?: number;
}

/** The bytes of a frame, right or wrong. */
export function frameOf(payload: Uint8Array, shape: FrameShape = {}): Uint8Array {
  const { opcode = OPCODE.text, more = false, masked = true, reserved = 0, claims = payload.length } = shape;
  const head = [(more ? 0 : 0x80) | (reserved << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  if (claims < 126) head.push(mask | claims);
  else if (claims < 65_536) head.push(mask | 126, claims >> 8, claims & 0xff);
  else {
    head.push(mask | 127);
    for (let power = 7; power >= 0; power--) head.push(Math.floor(claims / 256 ** power) % 256);
  }
  const key = masked ? [0x12, 0x34, 0x56, 0x78] : [];
  const bytes = new Uint8Array(head.length + key.length + payload.length);
  bytes.set(head);
  bytes.set(key, head.length);
  const body = masked ? payload.map((byte, i) => byte ^ key[i % 4]!) : payload;
  bytes.set(body, head.length + key.length);
  return bytes;
}
