import { assertEquals } from "@std/assert";
import {
  formatInstallRecord,
  installationAt,
  type InstallRecord,
  judgeInstallation,
  latestTurn,
  ownerOf,
  pointerTo,
  readInstallRecord,
  readTurn,
  releaseName,
  releaseOfName,
  releaseOfPointer,
  releasesToRemove,
  turnText,
} from "../../lib/core/installation.ts";

const SUM = "ab12".repeat(16);

Deno.test("releaseOfName() reads what releaseName() writes, and nothing that leads elsewhere", () => {
  for (const version of ["1.2.3", "1.2.3-rc.1", "0.1.0-dev", "1.0.0-rc.1+abc"]) {
    assertEquals(releaseOfName(releaseName(version, SUM)), { version, digest: "ab12ab12ab12" });
    assertEquals(releaseOfPointer(pointerTo(releaseName(version, SUM))), releaseName(version, SUM));
  }
  for (
    const name of [
      "",
      "1.2.3",
      "1.2.3-xyz",
      "1.2.3-ab12ab12ab1",
      "../1.2.3-ab12ab12ab12",
      ".tmp",
      "a/1.2.3-ab12ab12ab12",
    ]
  ) {
    assertEquals(releaseOfName(name), undefined, name);
  }
  for (
    const text of ["", "releases", "/bin", "releases/../x", "releases/1.2.3-ab12ab12ab12/drover", "1.2.3-ab12ab12ab12"]
  ) {
    assertEquals(releaseOfPointer(text), undefined, text);
  }
});

Deno.test("ownerOf() is drover only for a program among the releases of an installation", () => {
  const compiled = { compiled: true, released: true };
  const owner = ownerOf("/h/.local/share/drover/releases/1.2.3-ab12ab12ab12/drover", compiled);
  assertEquals(owner, {
    kind: "drover",
    installation: installationAt("/h/.local/share/drover"),
    name: "1.2.3-ab12ab12ab12",
    release: { version: "1.2.3", digest: "ab12ab12ab12" },
  });
  const kinds: Readonly<Record<string, string>> = {
    "/opt/homebrew/Cellar/drover/1.2.3/bin/drover": "homebrew",
    "/usr/bin/drover": "other",
    "/h/releases/1.2.3/drover": "other",
    "/h/releases/1.2.3-ab12ab12ab12/drover2": "other",
    "/home/x/Cellar/other/bin/drover": "other",
  };
  for (const [path, kind] of Object.entries(kinds)) assertEquals(ownerOf(path, compiled).kind, kind, path);
  assertEquals(ownerOf("/src/dist/drover", { compiled: true, released: false }).kind, "development");
  assertEquals(ownerOf("/usr/bin/deno", { compiled: false, released: true }).kind, "source");
});

const RECORD: InstallRecord = {
  schema: 1,
  by: "install.sh",
  version: "1.2.3",
  digest: SUM,
  archive: "cd".repeat(32),
  installed_at: "2026-01-02T03:04:05Z",
  link: '/h/a "b" \\c/drover',
  shell_file: "",
  keys: ["0123456789abcdef"],
};

Deno.test("readInstallRecord() reads what formatInstallRecord() writes, a member a line, and no damaged text", () => {
  const text = formatInstallRecord(RECORD);
  assertEquals(readInstallRecord(text), RECORD);
  assertEquals(
    text.split("\n")[6],
    '  "installed_at": "2026-01-02T03:04:05Z",',
  );
  for (const broken of ["", "null", "[]", text.slice(0, -10), text.replace(SUM, "zz"), text.replace("1.2.3", "../1")]) {
    assertEquals(readInstallRecord(broken), undefined, broken);
  }
});

Deno.test("judgeInstallation() tells none, whole and broken apart", () => {
  const name = releaseName("1.2.3", SUM);
  const whole = { pointer: pointerTo(name), digest: SUM, record: formatInstallRecord(RECORD) };
  const kindOf = (change: Partial<Record<keyof typeof whole, string | undefined>>) =>
    judgeInstallation({ ...whole, ...change }).kind;
  assertEquals(kindOf({}), "whole");
  assertEquals(kindOf({ pointer: undefined, digest: undefined, record: undefined }), "none");
  const broken = [
    { pointer: undefined },
    { pointer: "/bin" },
    { digest: undefined },
    { digest: "00".repeat(32) },
    { record: undefined },
    { record: "{" },
  ];
  for (const change of broken) assertEquals(kindOf(change), "broken", JSON.stringify(change));
});

Deno.test("releasesToRemove() takes releases alone, and none that is kept", () => {
  const names = ["1.0.0-ab12ab12ab12", "1.1.0-ab12ab12ab12", "1.2.0-ab12ab12ab12", "notes"];
  assertEquals(releasesToRemove(names, ["1.1.0-ab12ab12ab12", "1.2.0-ab12ab12ab12"]), ["1.0.0-ab12ab12ab12"]);
});

Deno.test("latestTurn() is the highest number, done where nobody has ever had one", () => {
  assertEquals(latestTurn([]), { number: 0, done: true });
  assertEquals(latestTurn(["9.done", "10", "9"]), { number: 10, done: false });
  assertEquals(latestTurn(["10", "10.done", "x", "011"]), { number: 10, done: true });
  assertEquals(readTurn(3, turnText(12, "345")), { number: 3, pid: 12, ticks: "345" });
  for (const text of ["", "done", "0-1", "12", "12-", "-1-2"]) assertEquals(readTurn(1, text), undefined, text);
});
