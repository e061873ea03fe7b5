/** The login shell's PATH: which shell is asked, how, what counts as an answer, and what joins our own PATH. */
import { assert, assertEquals } from "@std/assert";
import {
  addedEntries,
  loginQuestion,
  loginShell,
  parseAnswer,
  type ShellFacts,
  unionPath,
} from "../../lib/core/login_path.ts";

const PASSWD =
  "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000:,,,:/home/me:/usr/bin/fish\nnobody:x:7:7::/:/sbin/nologin\n";

function shell(facts: Partial<ShellFacts>): string | undefined {
  return loginShell({ env: {}, os: "linux", uid: 1000, passwd: PASSWD, ...facts });
}

Deno.test("loginShell() believes SHELL, unless it is the sh that cron sets for everybody, and then the password file", () => {
  const rows: [Partial<ShellFacts>, string | undefined][] = [
    [{ env: { SHELL: "/opt/bin/zsh" } }, "/opt/bin/zsh"],
    [{ env: { SHELL: "/bin/sh" } }, "/usr/bin/fish"],
    [{ env: { SHELL: "zsh" } }, "/usr/bin/fish"],
    [{}, "/usr/bin/fish"],
    [{ uid: 0 }, "/bin/bash"],
    [{ env: { SHELL: "/bin/sh" }, uid: 4711 }, "/bin/sh"],
    [{ uid: 4711 }, "/bin/sh"],
    [{ uid: 4711, os: "darwin" }, "/bin/zsh"],
    [{ passwd: "me:x:1000:1000::/home/me:\nbroken\n" }, "/bin/sh"],
  ];
  for (const [facts, expected] of rows) assertEquals(shell(facts), expected, JSON.stringify(facts));
});

Deno.test("loginShell() is none for an account that nobody logs into", () => {
  assertEquals(shell({ uid: 7 }), undefined);
  assertEquals(shell({ env: { SHELL: "/bin/false" } }), undefined);
});

Deno.test("loginQuestion() asks each shell in its own words, and one it does not know through sh", () => {
  const rows: [path: string, executable: string, words: readonly string[]][] = [
    ["/bin/bash", "/bin/bash", ["-l", "-i", "-c"]],
    ["/bin/zsh", "/bin/zsh", ["-l", "-i", "-c"]],
    ["/usr/bin/fish", "/usr/bin/fish", ["-l", "-i", "-c"]],
    ["/bin/ksh", "/bin/ksh", ["-l", "-i", "-c"]],
    ["/bin/dash", "/bin/dash", ["-l", "-c"]],
    ["/bin/tcsh", "/bin/tcsh", ["-i", "-c"]],
    ["/opt/nu", "/opt/nu", ["--login", "-c"]],
    ["/opt/xonsh", "/bin/sh", ["-l", "-c"]],
  ];
  for (const [path, executable, words] of rows) {
    const question = loginQuestion(path, "abc", {});
    assertEquals([question.executable, question.args.slice(0, -1)], [executable, words], path);
    assertEquals(question.args.at(-1)!.startsWith("^"), path === "/opt/nu");
  }
});

Deno.test("loginQuestion() leaves the environment as it is, but for a terminal that draws nothing and a mark for rc files", () => {
  const { env } = loginQuestion("/bin/sh", "abc", { PATH: "/bin", TERM: "xterm", HOME: "/home/me" });
  assertEquals(env, { PATH: "/bin", TERM: "dumb", HOME: "/home/me", DROVER_RESOLVING_PATH: "1" });
});

Deno.test("parseAnswer() finds the last PATH between the marks in whatever else was printed", () => {
  const rows: [printed: string, path: string | undefined][] = [
    ["m</bin:/usr/bin>m", "/bin:/usr/bin"],
    ["Welcome!\n\x1b[31m\nm</bin>m\nbye", "/bin"],
    ["m</old>m noise m</new>m", "/new"],
    // The question itself, printed by an rc file that shows what it was started with.
    ['m</bin>m printf "m<" "$PATH" ">m"', "/bin"],
    ["m</bin>m m</cut off", "/bin"],
    ["m<:.:bin:/bin:~/x:/a\nb:/c\x00>m", "/bin"],
    ["m<relative>m", undefined],
    ["m<>m", undefined],
    ["m</bin", undefined],
    [">m /bin m<", undefined],
    ["", undefined],
  ];
  for (const [printed, path] of rows) assertEquals(parseAnswer(printed, "m"), path, JSON.stringify(printed));
});

Deno.test("unionPath() keeps our order and puts behind it what the login shell has more", () => {
  const rows: [own: string | undefined, login: string | undefined, union: string][] = [
    ["/b:/a", "/a:/c:/b:/d", "/b:/a:/c:/d"],
    ["/b:/a", undefined, "/b:/a"],
    [undefined, "/a:/c", "/a:/c"],
    ["", "", ""],
    ["/a:/a/:/b:/a", "/a//:/b:/c/", "/a:/b:/c/"],
    [".:bin::/a", "~/x:/c:", "/a:/c"],
    ["/with space", "/é:/with space", "/with space:/é"],
  ];
  for (const [own, login, union] of rows) assertEquals(unionPath(own, login), union, `${own} + ${login}`);
});

Deno.test("unionPath() grows no further than a program's environment bears, and never loses our own", () => {
  const many = (name: string) => Array.from({ length: 5_000 }, (_, n) => `/${name}/${n}`).join(":");
  const union = unionPath("/own", many("login"));
  assert(union.startsWith("/own:/login/0:") && union.length > 30_000 && union.length <= 32 * 1_024);
  assertEquals(unionPath(many("own"), "/login"), many("own"));
  assertEquals(unionPath("/own", `/${"x".repeat(4_096)}:/c`), "/own:/c");
});

Deno.test("addedEntries() tells what the second PATH has beyond the first", () => {
  assertEquals(addedEntries("/a:/b", "/b:/c:/a:/d"), ["/c", "/d"]);
  assertEquals(addedEntries(undefined, "/a"), ["/a"]);
});
