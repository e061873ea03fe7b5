/** Every way of replacing a program, for every way of laying one out: told within two ticks, or rightly not at all. */
import { assertEquals } from "@std/assert";
import { RELOAD } from "../../lib/core/reload.ts";
import type { ReloadMode } from "../../lib/core/reload_gate.ts";
import { type Layout, LAYOUTS, type Tree } from "../agents/program_layouts.ts";
import { TICK_MS, WatchedMachine } from "./watched_machine.ts";

const [OLD, NEW, NEWER] = ["1.0.0", "2.0.0", "3.0.0"] as const;

/** The kinds of launchers that the issue names; what else there is, is in the tests of `whatRuns`. */
const KINDS = [
  "a native program",
  "a native installer with a folder per version",
  "an npm launcher that never changes and starts the program of its platform package",
  "Homebrew: a link into the Cellar, to a wrapper that starts the program in libexec",
  "asdf: a script that asks which version is wanted",
  "fnm: a link to the directory of a version of node",
];
const LINKED = /^(a native installer|Homebrew|fnm)/;

interface Style {
  readonly name: string;
  readonly mode?: ReloadMode;
  readonly only?: RegExp;
  readonly act: (world: WatchedMachine, layout: Layout) => Promise<void>;
  /** What servers were told, in order; "" = that there is none. */
  readonly told: readonly string[];
  readonly state?: string;
}

function changedOnly(layout: Layout, version: string): Tree {
  const before = layout.tree(OLD);
  return Object.fromEntries(Object.entries(layout.tree(version)).filter(([path, text]) => before[path] !== text));
}

async function removeAll(world: WatchedMachine, tree: Tree): Promise<void> {
  for (const path of Object.keys(tree)) await Deno.remove(world.machine.at(path)).catch(() => {});
}

async function chmod(world: WatchedMachine, layout: Layout, mode: number): Promise<void> {
  await Deno.chmod(world.machine.at(layout.command), mode);
}

/** An npm upgrade: gone for seconds, a stub for a moment, then there. */
async function reinstall(world: WatchedMachine, layout: Layout): Promise<void> {
  await removeAll(world, layout.tree(OLD));
  await world.pass(3_000);
  await world.machine.put({ [layout.command]: "#!/bin/sh\necho not installed yet >&2; exit 1\n" });
  await world.pass(90);
  await removeAll(world, { [layout.command]: "" });
  await world.machine.put(layout.tree(NEW));
}

const STYLES: readonly Style[] = [
  { name: "atomic rename", act: ({ machine }, layout) => machine.put(layout.tree(NEW)), told: [NEW] },
  {
    name: "overwrite in place",
    act: ({ machine }, layout) => machine.put(layout.tree(NEW), { inPlace: true }),
    told: [NEW],
  },
  {
    name: "overwrite of the same size, with the old times",
    act: async (world, layout) => {
      await world.machine.put(layout.tree(NEW), { inPlace: true });
      await world.machine.stamp(layout.tree(NEW), new Date(1_700_000_000_000));
      // Within one second of its clock a file system may give two contents the same mark: then only reading tells.
      await world.pass(RELOAD.fullHashMs);
    },
    told: [NEW],
  },
  {
    name: "a link to another target, the old one kept",
    only: LINKED,
    act: ({ machine }, layout) => machine.put(changedOnly(layout, NEW)),
    told: [NEW],
  },
  {
    name: "a link to another target, the old one removed",
    only: LINKED,
    act: async (world, layout) => {
      await world.machine.put(layout.tree(NEW));
      const kept = new Set(Object.keys(layout.tree(NEW)));
      await removeAll(world, Object.fromEntries(Object.entries(layout.tree(OLD)).filter(([path]) => !kept.has(path))));
    },
    told: [NEW],
  },
  {
    name: "a copy that takes ten seconds",
    act: async (world, layout) => {
      for (let part = 1; part <= 10; part++) {
        for (const [path, text] of Object.entries(changedOnly(layout, NEW))) {
          const begun = text.startsWith("-> ") ? text : text.slice(0, Math.ceil(text.length * part / 10));
          await world.machine.put({ [path]: begun }, { inPlace: true });
        }
        await world.pass(1_000);
        assertEquals(world.told, [], "nothing is told of a file that is being written");
      }
    },
    told: [NEW],
  },
  { name: "an upgrade by npm", only: /^(?!fnm)/, act: reinstall, told: [NEW] },
  {
    name: "a truncated file",
    act: async ({ machine }, layout) => {
      for (const path of [...Object.keys(layout.tree(OLD)), layout.command]) {
        await Deno.truncate(await Deno.realPath(machine.at(path))).catch(() => {});
      }
    },
    told: [],
    state: "changed",
  },
  {
    name: "a permission that is dropped and given back",
    act: async (world, layout) => {
      await chmod(world, layout, 0o644);
      await world.ticks(1);
      assertEquals(world.is("tool"), ["not-executable", OLD]);
      await chmod(world, layout, 0o755);
    },
    told: [],
  },
  {
    name: "a permission that is dropped for good",
    act: async (world, layout) => {
      await chmod(world, layout, 0o644);
      await world.pass(RELOAD.goneMs + TICK_MS);
    },
    told: [""],
    state: "absent",
  },
  { name: "a downgrade", act: ({ machine }, layout) => machine.put(layout.tree("0.9.0")), told: ["0.9.0"] },
  { name: "the same version again", act: ({ machine }, layout) => machine.put(layout.tree(OLD)), told: [] },
  {
    name: "a removal of forty seconds",
    act: async (world, layout) => {
      await removeAll(world, layout.tree(OLD));
      await world.pass(40_000);
      assertEquals(world.is("tool"), ["missing", OLD]);
      await world.machine.put(layout.tree(OLD));
    },
    told: [],
  },
  {
    name: "a removal for longer than the window, and back",
    act: async (world, layout) => {
      await removeAll(world, layout.tree(OLD));
      await world.pass(RELOAD.goneMs + TICK_MS);
      assertEquals(world.told, [[]]);
      await world.ticks(20);
      assertEquals(world.told, [[]], "withdrawn once");
      await world.machine.put(layout.tree(NEW));
    },
    told: ["", NEW],
  },
  {
    name: "back to the old one while a restart waits",
    mode: "restart",
    act: async (world, layout) => {
      await world.machine.put(layout.tree(NEW));
      await world.ticks(2);
      assertEquals([world.is("tool"), world.watch.changes().length], [["changed", OLD], 1]);
      await world.machine.put(layout.tree(OLD));
      await world.ticks(2);
      assertEquals(world.watch.changes(), []);
    },
    told: [],
    state: "reverted",
  },
  {
    name: "two upgrades while a restart waits",
    mode: "restart",
    act: async (world, layout) => {
      await world.machine.put(layout.tree(NEW));
      await world.ticks(2);
      const [first] = world.watch.changes();
      await world.ticks(5);
      await world.machine.put(layout.tree(NEWER));
      await world.ticks(2);
      const [second, ...more] = world.watch.changes();
      assertEquals([more.length, second!.since, second!.oldDigest], [0, first!.since, first!.oldDigest]);
      assertEquals(second!.newDigest === first!.newDigest, false);
    },
    told: [],
    state: "changed",
  },
  {
    name: "only telling",
    mode: "notify",
    act: ({ machine }, layout) => machine.put(layout.tree(NEW)),
    told: [],
    state: "changed",
  },
];

async function tryOut(style: Style, layout: Layout): Promise<void> {
  const { mode, act, told, state = "unchanged" } = style;
  const programs = [{ provider: "tool", command: layout.command }];
  await using world = await WatchedMachine.started({ mode, programs, tree: layout.tree(OLD), version: OLD });
  const story = () => `${layout.name}: ${world.log.records.map(({ message }) => message).join("; ")}`;
  assertEquals([world.told, world.is("tool")], [[], ["unchanged", OLD]], story());
  await world.pass(12_345);
  await act(world, layout);
  await world.ticks(2);
  assertEquals(world.told, told.map((version) => version === "" ? [] : [`tool ${version}`]), story());
  const listed = told.length === 0 ? OLD : told.at(-1) || undefined;
  assertEquals(world.is("tool"), [state, listed], story());
  await world.ticks(4);
  assertEquals([world.told.length, world.is("tool")], [told.length, [state, listed]], `and so it stays: ${story()}`);
}

let cells = 0;
for (const style of STYLES) {
  const layouts = LAYOUTS.filter(({ name }) => KINDS.includes(name) && (style.only?.test(name) ?? true));
  cells += layouts.length;
  Deno.test(`BinaryWatch, for each of ${layouts.length} kinds of launchers: ${style.name}`, async () => {
    await Promise.all(layouts.map((layout) => tryOut(style, layout)));
  });
}

Deno.test("BinaryWatch is tried with every style and every kind of launcher", () => {
  assertEquals([LAYOUTS.filter(({ name }) => KINDS.includes(name)).length, cells >= 90], [KINDS.length, true]);
});
