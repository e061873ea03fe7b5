/** Replaced programs, seen with real files: every way of replacing one, for every way of laying one out. */
import { assert, assertEquals } from "@std/assert";
import { ProgramSight } from "../../lib/agents/what_runs_sight.ts";
import { RELOAD, startWatch, stepWatch, type Watch, type WatchState } from "../../lib/core/reload.ts";
import { files, fingerprints, type Layout, LAYOUTS, Machine, type Tree } from "./program_layouts.ts";

const TICK_MS = 30_000;
const OLD = "1.0.0";
const NEW = "2.0.0";

/** Looks at a real program; only the time between two looks is not real. */
class Observer {
  now = 0;
  hashes = 0;
  watch: Watch = startWatch(undefined, 0);
  readonly sight: ProgramSight;

  constructor(readonly machine: Machine, readonly command: string) {
    const counting = {
      ...fingerprints,
      hashFile: (path: string, options?: { signal?: AbortSignal }) => {
        this.hashes++;
        return fingerprints.hashFile(path, options);
      },
    };
    const env = { HOME: machine.at("home") };
    this.sight = new ProgramSight(machine.at(command), { fingerprints: counting, files, env });
  }

  async tick(count = 1, ms = TICK_MS): Promise<void> {
    for (let n = 0; n < count; n++) {
      this.now += ms;
      const sight = await this.sight.look(this.watch, this.now);
      this.watch = stepWatch(this.watch, { kind: "sighted", sight }, this.now).watch;
    }
  }

  /** As after a start: what is there is what the servers were told. */
  async register(): Promise<void> {
    await this.tick(3);
    const digest = this.watch.sample?.digest;
    assert(digest !== undefined && this.watch.state.kind === "changed", JSON.stringify(this.watch));
    this.watch = stepWatch(this.watch, { kind: "registered", digest, version: OLD }, this.now).watch;
    assertEquals(this.watch.state.kind, "unchanged");
    await this.tick(3);
  }
}

interface Style {
  readonly name: string;
  readonly act: (machine: Machine, layout: Layout, observer: Observer) => Promise<void>;
  readonly state: WatchState["kind"];
  /** Only reading all files again can tell. */
  readonly hidden?: true;
}

async function removeAll(machine: Machine, tree: Tree): Promise<void> {
  for (const name of Object.keys(tree)) await Deno.remove(machine.at(name));
}

const STYLES: readonly Style[] = [
  { name: "atomic rename", act: (machine, layout) => machine.put(layout.tree(NEW)), state: "changed" },
  {
    name: "overwrite in place",
    act: (machine, layout) => machine.put(layout.tree(NEW), { inPlace: true }),
    state: "changed",
  },
  {
    name: "overwrite in place with the old times and sizes",
    act: async (machine, layout) => {
      await machine.put(layout.tree(NEW), { inPlace: true });
      await machine.stamp(layout.tree(NEW), new Date(1_700_000_000_000));
    },
    state: "changed",
    hidden: true,
  },
  {
    name: "removal, a look, then the new version",
    act: async (machine, layout, observer) => {
      await removeAll(machine, layout.tree(OLD));
      await observer.tick();
      assertEquals(observer.watch.state.kind, "missing");
      await machine.put(layout.tree(NEW));
    },
    state: "changed",
  },
  {
    name: "the old version again",
    act: (machine, layout) => machine.put(layout.tree(OLD)),
    state: "unchanged",
  },
  {
    name: "the new version, believed, and back",
    act: async (machine, layout, observer) => {
      await machine.put(layout.tree(NEW));
      await observer.tick(2);
      assertEquals(observer.watch.state.kind, "changed");
      await machine.put(layout.tree(OLD));
    },
    state: "reverted",
  },
  {
    name: "removal for good",
    act: async (machine, layout, observer) => {
      await removeAll(machine, layout.tree(OLD));
      await observer.tick(1 + RELOAD.goneMs / TICK_MS);
    },
    state: "absent",
  },
];

for (const layout of LAYOUTS) {
  Deno.test(`a change is seen within two ticks, or is none: ${layout.name}`, async () => {
    for (const style of STYLES) {
      await using machine = await Machine.of(layout.tree(OLD));
      await machine.stamp(layout.tree(OLD), new Date(1_700_000_000_000));
      const observer = new Observer(machine, layout.command);
      await observer.register();
      await style.act(machine, layout, observer);
      // Within one second of its clock a file system may give two contents the same mark.
      if (style.hidden) await observer.tick(1, RELOAD.fullHashMs);
      await observer.tick(2);
      assertEquals(observer.watch.state.kind, style.state, `${style.name}: ${JSON.stringify(observer.watch)}`);
      const { hashes } = observer;
      await observer.tick(3);
      assertEquals([observer.watch.state.kind, observer.hashes - hashes <= 2 * layout.sees.length], [
        style.state,
        true,
      ]);
      const settled = observer.hashes;
      await observer.tick(3);
      assertEquals(observer.hashes, settled, `${style.name}: read again although nothing moved`);
    }
  });
}

const NATIVE = LAYOUTS[0]!;

Deno.test("ProgramSight.look() gives no digest of files that moved while they were read", async () => {
  await using machine = await Machine.of(NATIVE.tree(OLD));
  const path = machine.at(NATIVE.command);
  const moving = {
    ...fingerprints,
    async hashFile(file: string) {
      const digest = await fingerprints.hashFile(file);
      await machine.put(NATIVE.tree(NEW));
      return digest;
    },
  };
  const sight = new ProgramSight(path, { fingerprints: moving, files, env: {} });
  const saw = await sight.look(startWatch(undefined, 0), 0);
  assertEquals([saw.kind, "digest" in saw], ["seen", false]);
});

Deno.test("ProgramSight.look() takes a file that goes while it is read for missing, and one it may not read for unreadable", async () => {
  await using machine = await Machine.of(NATIVE.tree(OLD));
  const path = machine.at(NATIVE.command);
  const hashFile = async (file: string) => {
    await Deno.remove(file);
    return await fingerprints.hashFile(file);
  };
  const going = new ProgramSight(path, { fingerprints: { ...fingerprints, hashFile }, files, env: {} });
  assertEquals(await going.look(startWatch(undefined, 0), 0), { kind: "missing" });
  await machine.put({ [NATIVE.command]: "-> loop", "bin/loop": "-> loop" });
  const looping = new ProgramSight(path, { fingerprints, files, env: {} });
  assertEquals((await looping.look(startWatch(undefined, 0), 0)).kind, "unreadable");
});
