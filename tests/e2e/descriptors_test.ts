/** A daemon that has run out of descriptors lives on and can be reached again; clients cannot hold up its end. */
import { assertEquals } from "@std/assert";
import { eventually, TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";

const FEW = 96;

/** Connections until nobody takes any more, closed when disposed. */
async function crowd(path: string): Promise<Disposable> {
  const open: Deno.Conn[] = [];
  for (let n = 0; n < 2 * FEW; n++) {
    const one = await Deno.connect({ transport: "unix", path }).catch(() => undefined);
    if (!one) break;
    open.push(one);
  }
  return { [Symbol.dispose]: () => open.forEach((one) => one.close()) };
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("a daemon outlives a crowd that takes all of its descriptors, and works on"), async () => {
    const limited = ["sh", "-c", `ulimit -n ${FEW} && exec "$@"`, "sh", ...form.argv] as const;
    await using home = await TestHome.create({ ...form, argv: limited });
    const daemon = await home.daemon();
    const { value: { controlSocket } } = await home.json(["status"]);
    {
      using _crowd = await crowd(controlSocket);
    }
    await eventually(async () => (await home.json(["status"])).value.state === "running", "it answers again", 60_000);
    assertEquals((await home.json(["status"])).value.pid, daemon.pid);
    assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);
    await daemon.stop();
    await home.assertNoProcessLeft();
  });

  Deno.test(name("a client in the middle of a request does not keep the daemon from ending"), async () => {
    await using home = await TestHome.create(form);
    await home.json(["start"]);
    const { value: { controlSocket: path } } = await home.json(["status"]);
    using idle = await Deno.connect({ transport: "unix", path });
    await idle.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHo"));
    assertEquals((await home.json(["status"])).value.state, "running");
    assertEquals((await home.json(["stop"])).value.status, "stopped");
    await home.assertNoProcessLeft();
  });
}
