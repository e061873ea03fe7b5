/** The socket on which systemd would listen for a service's notices: a process of its own, as datagrams need an unstable flag. */
import { join } from "@std/path";
import { eventually } from "./drover.ts";

/** Says READY, then each datagram as a line of JSON. */
const LISTENER = `
const socket = Deno.listenDatagram({ transport: "unixpacket", path: Deno.args[0] });
console.log(JSON.stringify("listening"));
for await (const [bytes] of socket) console.log(JSON.stringify(new TextDecoder().decode(bytes)));
`;

export interface NotifySocket extends AsyncDisposable {
  readonly path: string;
  /** So far, one for each call. */
  readonly notices: readonly string[];
}

export async function notifySocket(directory: string): Promise<NotifySocket> {
  const [path, program] = [join(directory, "notify.sock"), join(directory, "listener.js")];
  await Deno.writeTextFile(program, LISTENER);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--unstable-net", "--allow-all", program, path],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const said: string[] = [];
  const reading = (async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      said.push(...lines.map((line) => JSON.parse(line)));
    }
  })();
  await eventually(() => said.length > 0, "the listener listens", 30_000);
  return {
    path,
    get notices() {
      return said.slice(1);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
      await reading;
    },
  };
}
