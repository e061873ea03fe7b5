/** What really runs for a command, on real trees of files as package and version managers lay them out. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { ELF, LAUNCHER, LAYOUTS, Machine } from "./program_layouts.ts";

for (const layout of LAYOUTS) {
  Deno.test(`whatRuns() sees through ${layout.name}`, async () => {
    await using machine = await Machine.of(layout.tree("1.0.0"));
    assertEquals(await machine.sees(layout.command), [...layout.sees]);
    const before = await machine.fingerprint(layout.command);
    assertEquals(before.whole, layout.whole);
    assertEquals(await machine.fingerprint(layout.command), before);
    await machine.put(layout.tree("2.0.0"));
    assertNotEquals((await machine.fingerprint(layout.command)).digest, before.digest, "the upgrade does not show");
  });
}

Deno.test("whatRuns() says that it does not know everything where a script hides what it starts", async () => {
  await using machine = await Machine.of({
    "bin/by-name": '#!/bin/sh\nexec real-tool "$@"\n',
    "bin/gone": '#!/bin/sh\nexec /nowhere/tool "$@"\n',
    "bin/lonely.js": LAUNCHER,
    "bin/odd": "#!\n",
    "bin/pyenv": '#!/usr/bin/env bash\nexec "/opt/pyenv" exec "$program" "$@"\n',
    "home/.pyenv/shims/tool": '#!/usr/bin/env bash\nexec pyenv exec "tool" "$@"\n',
    "bin/loop": '#!/bin/sh\nexec "$ROOT/bin/loop" "$@"\n',
    "bin/snake": "#!/usr/bin/python3\nimport tool\n",
  });
  for (const name of ["by-name", "gone", "lonely.js", "odd", "loop", "snake"]) {
    const found = await machine.run(`bin/${name}`);
    assertEquals([machine.short(found), found.whole], [[`program bin/${name}`], false], name);
  }
  for (const name of ["bin/pyenv", "home/.pyenv/shims/tool"]) {
    const shim = await machine.run(name);
    assertEquals([machine.short(shim), shim.whole, shim.via], [[`shim ${name}`], false, ["env shim"]]);
  }
});

Deno.test("whatRuns() knows the ways in which a wrapper names the file it hands over to", async () => {
  const lines = [
    'exec "$ROOT/opt/tool" "$@"',
    'exec $ROOT/opt/tool --flag "$@"',
    "TOOL_MODE=fast exec '$ROOT/opt/tool' ${1+\"$@\"}",
    'exec node --no-warnings "$ROOT/opt/tool" "$@"',
    'exec /usr/bin/env -S node $ROOT/opt/tool "$@"',
    'exec "$HOME/../opt/tool" "$@"',
    'exec ~/../opt/tool "$@"',
    'exec "$(dirname "$0")/../opt/tool" "$@"',
    'exec "${0%/*}/../opt/tool" "$@"',
    'exec "$(dirname "${BASH_SOURCE[0]}")"/../opt/tool "$@"',
    'DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"\nexec "$DIR/../opt/tool" "$@"',
    'here=$(cd -P "$(dirname "$0")" >/dev/null && pwd -P)\nexec "${here}/../opt/tool" "$@"',
    'SELF_DIR=$(dirname "$(readlink -f "$0")")\nTOOL="$SELF_DIR/../opt/tool"\n"$TOOL" "$@"',
    'export TOP_DIR=$ROOT\nexec \\\n  "$TOP_DIR/opt/tool" \\\n  "$@"',
    '. "$ROOT/opt/env"\nif true; then exec "$ROOT/opt/tool" "$@"; fi',
  ];
  for (const line of lines) {
    await using machine = await Machine.of({
      "bin/tool": `#!/bin/sh\n${line}\n`,
      "opt/tool": ELF,
      "opt/env": "",
      "home/x": "",
    });
    const found = await machine.run("bin/tool");
    // What an interpreter reads asks for no permission to execute.
    const role = line.includes("node ") ? "code" : "program";
    assertEquals([machine.short(found), found.whole], [["program bin/tool", `${role} opt/tool`], true], line);
  }
});

Deno.test("whatRuns() takes a wrapper behind a link for started by either name", async () => {
  await using machine = await Machine.of({
    "bin/tool": "-> ../opt/wrapper/run.sh",
    "opt/wrapper/run.sh": '#!/bin/sh\nexec "$(dirname "$0")/core" "$@"\n',
    "opt/wrapper/core": ELF,
  });
  assertEquals(await machine.sees("bin/tool"), ["program bin/tool", "program opt/wrapper/core"]);
  await machine.put({ "bin/core": ELF });
  assertEquals(await machine.sees("bin/tool"), ["program bin/tool", "program opt/wrapper/core", "program bin/core"]);
});

Deno.test("whatRuns() takes no package around node_modules for the package of what lies loose in it", async () => {
  await using machine = await Machine.of({
    "project/package.json": '{ "name": "project" }',
    "project/node_modules/loose.js": LAUNCHER,
    "home/x": "",
  });
  const found = await machine.run("project/node_modules/loose.js");
  assertEquals([machine.short(found), found.whole], [["program project/node_modules/loose.js"], false]);
});

Deno.test("whatRuns() does not guess which of several versions asdf would start", async () => {
  await using machine = await Machine.of({
    "home/.asdf/shims/tool":
      '#!/bin/sh\n# asdf-plugin: nodejs 1\n# asdf-plugin: nodejs 2\nexec asdf exec "tool" "$@"\n',
    "home/.asdf/installs/nodejs/1/bin/tool": ELF,
    "home/.asdf/installs/nodejs/2/bin/tool": ELF,
  });
  assertEquals(await machine.sees("home/.asdf/shims/tool"), [
    "shim home/.asdf/shims/tool",
    "hint home/.tool-versions",
  ]);
  await machine.put({
    "home/.asdf/shims/tool": '#!/bin/sh\n# asdf-plugin: nodejs 1\nexec asdf exec "tool" "$@"\n',
  });
  assertEquals((await machine.sees("home/.asdf/shims/tool")).at(-1), "program home/.asdf/installs/nodejs/1/bin/tool");
});

Deno.test("whatRuns() believes the settings of mise before the file it shares with asdf", async () => {
  const shim = "home/.local/share/mise/shims/tool";
  await using machine = await Machine.of({
    "bin/mise": ELF,
    [shim]: "-> $ROOT/bin/mise",
    "home/.local/share/mise/installs/node/1/bin/tool": ELF,
    "home/.local/share/mise/installs/node/2/bin/tool": ELF,
    "home/.local/share/mise/installs/node/latest": "-> ./2",
  });
  const runs = async () => (await machine.sees(shim)).at(-1)!.split("/").at(-3);
  assertEquals(await runs(), "latest");
  await machine.put({ "home/.tool-versions": "node 1\n" });
  assertEquals(await runs(), "1");
  await machine.put({ "home/.config/mise/config.toml": '[tools]\nnode = { version = "2" }\n' });
  assertEquals(await runs(), "2");
});

Deno.test("whatRuns() has the command alone where there is nothing, so that it is missed and found again", async () => {
  await using machine = await Machine.of({ "bin/dangling": "-> ../gone", "home/x": "" });
  for (const name of ["bin/none", "bin/dangling"]) {
    const found = await machine.run(name);
    assertEquals([machine.short(found), found.whole], [[`program ${name}`], false]);
  }
});

Deno.test("whatRuns() takes other directories and other choices of the version managers from the environment", async () => {
  await using machine = await Machine.of({
    "data/shims/tool":
      '#!/usr/bin/env bash\n# asdf-plugin: my-node 1\n# asdf-plugin: my-node 2\nexec asdf exec "tool" "$@"\n',
    "data/installs/my-node/1/bin/tool": ELF,
    "data/installs/my-node/2/bin/tool": ELF,
    "home/.tool-versions": "my-node 1\n",
  });
  const env = { ASDF_DATA_DIR: machine.at("data") };
  assertEquals((await machine.sees("data/shims/tool", env)).at(-1), "program data/installs/my-node/1/bin/tool");
  const other = { ...env, ASDF_MY_NODE_VERSION: "2" };
  assertEquals((await machine.sees("data/shims/tool", other)).at(-1), "program data/installs/my-node/2/bin/tool");
});

Deno.test("whatRuns() counts the places from which a CLI may run something newer among its files", async () => {
  await using machine = await Machine.of({ "bin/tool": `${ELF} 1`, "home/x": "" });
  const cache = machine.at("home/.cache/tool");
  const found = await machine.run("bin/tool", {}, [cache]);
  assertEquals(found.files.at(-1), { path: cache, role: "hint" });
  assert(!found.whole);
});
