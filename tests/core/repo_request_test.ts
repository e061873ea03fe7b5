/** What a task may ask for: only addresses of servers, only names of revisions, and one key for each repository. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  allowedProtocols,
  fetchedAlone,
  refusedRef,
  repoAddress,
  repoKey,
  revisionsOf,
  taskBranch,
} from "../../lib/core/repo_request.ts";

const strict = { allowFile: false };

Deno.test("repoAddress() takes two spellings of a repository for the same, and names its directory", () => {
  const spellings = [
    "https://Example.test/acme/app.git",
    "https://example.test/acme/app",
    "ssh://git@example.test/acme/app.git/",
    "git@example.test:acme/app.git",
  ];
  const found = spellings.map((url) => repoAddress(url, strict));
  assert(found.every((one) => one.kind === "ok"), JSON.stringify(found));
  assertEquals(new Set(found.map(({ canonical }) => canonical)), new Set(["example.test/acme/app"]));
  assertEquals(found.map(({ name }) => name), ["app", "app", "app", "app"]);
});

const REFUSED: readonly (readonly [url: string, says: string])[] = [
  ["", "address"],
  ["--upload-pack=touch /tmp/x", "without spaces"],
  ["--upload-pack=touch", "must begin"],
  ["ext::sh -c touch% /tmp/x", "without spaces"],
  ["ext::sh", "must begin"],
  ["::https://example.test/a", "must begin"],
  ["/etc/passwd", "must begin"],
  ["../elsewhere", "must begin"],
  ["C:\\repo", "must begin"],
  ["ftp://example.test/a/b", "ftp://"],
  ["file:///srv/repo.git", "repos.allow_file"],
  ["https:///no/host", "host"],
  ["ssh://-oProxyCommand=touch/x/y", "host"],
  ["git@-oProxyCommand=x:a/b", "must begin"],
  ["https://user:secret@example.test/a/b", "credential helper"],
  ["https://token@example.test/a/b", "credential helper"],
  ["https://example.test/a/..", "last part"],
  ["https://example.test/a/.git", "last part"],
  ["https://example.test/", "last part"],
  ["https://example.test/a/b\nc", "without spaces"],
  [`https://example.test/${"a".repeat(2_000)}`, "characters"],
];

for (const [url, says] of REFUSED) {
  Deno.test(`repoAddress() refuses ${JSON.stringify(url.slice(0, 60))}`, () => {
    const found = repoAddress(url, strict);
    assert(found.kind === "refused", JSON.stringify(found));
    assertStringIncludes(found.why, says);
  });
}

Deno.test("repoAddress() takes repositories of this machine only where they are allowed, and git is told the same", () => {
  const found = repoAddress("file:///srv/repos/app.git", { allowFile: true });
  assertEquals(found.kind === "ok" && [found.name, found.canonical], ["app", "/srv/repos/app"]);
  assertEquals(allowedProtocols({ allowFile: true }), "https:http:ssh:git:file");
  assert(!allowedProtocols(strict).includes("file"));
});

Deno.test("repoKey() is a plain file name, another for each repository, and none where it would be too long", () => {
  assertEquals(repoKey("example.test:8443/acme/app"), "example.test~3A8443~2Facme~2Fapp");
  assert(repoKey("a/b~2Fc") !== repoKey("a/b/c"));
  assertEquals(repoKey(`example.test/${"a/".repeat(200)}`), undefined);
});

Deno.test("refusedRef() lets names and commits through, and nothing that git would read as something else", () => {
  for (
    const ref of ["main", "feature/x-1", "v1.2.0", "refs/heads/main", "refs/pull/7/head", "0123abc", "origin/main"]
  ) {
    assertEquals(refusedRef(ref), undefined, ref);
  }
  const wrong = [
    "-d",
    "--all",
    "a..b",
    "a b",
    "a:b",
    "HEAD@{1}",
    "@",
    "a^",
    "a~1",
    "a.lock",
    "/a",
    "a/",
    "a//b",
    ".a",
    "a\\b",
  ];
  for (const ref of [...wrong, "a?", "a*", "a[b", "x".repeat(300), "a/.b", "a\u0000b", "b."]) {
    assert(refusedRef(ref), ref);
  }
});

Deno.test("revisionsOf() prefers the server's branch to a tag, and that to a commit", () => {
  assertEquals(revisionsOf("main"), ["refs/remotes/origin/main", "refs/tags/main"]);
  assertEquals(revisionsOf("origin/main")[0], "refs/remotes/origin/main");
  assertEquals(revisionsOf("refs/tags/v1"), ["refs/tags/v1"]);
  assertEquals(revisionsOf("abc1234").at(-1), "abc1234");
  assertEquals(fetchedAlone("refs/pull/7/head"), "refs/pull/7/head");
  assertEquals(fetchedAlone("a".repeat(40)), "a".repeat(40));
  assertEquals([fetchedAlone("main"), fetchedAlone("refs/heads/main"), fetchedAlone("abc1234")], [
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("taskBranch() is a name that git takes, whatever the agent is called", () => {
  assertEquals(taskBranch("Big Bot!", "0123456789ab"), "drover/big-bot/0123456789ab");
  assertEquals(taskBranch("..//", "k"), "drover/agent/k");
});
