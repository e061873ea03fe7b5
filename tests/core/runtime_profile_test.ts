/** When two sets of runtime profiles are the same. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { profileProblem, profileSignature, type RuntimeProfile } from "../../lib/core/runtime_profile.ts";

function profile(changes: Partial<RuntimeProfile> = {}): RuntimeProfile {
  return {
    id: "1",
    displayName: "house",
    provider: "codex",
    command: "acme",
    fixedArgs: ["--x", "y"],
    env: { A: "1", B: "2" },
    visibility: "workspace",
    enabled: true,
    ...changes,
  };
}

Deno.test("profileSignature() depends neither on the order of the profiles nor on their names", () => {
  const other = profile({ id: "2", command: "other" });
  assertEquals(profileSignature([profile(), other]), profileSignature([other, profile()]));
  assertEquals(profileSignature([profile()]), profileSignature([profile({ displayName: "renamed" })]));
  assertEquals(profileSignature([profile()]), profileSignature([profile({ env: { B: "2", A: "1" } })]));
});

const CHANGES: Partial<RuntimeProfile>[] = [
  { id: "9" },
  { enabled: false },
  { provider: "claude" },
  { command: "acme2" },
  { visibility: "private" },
  { fixedArgs: ["y", "--x"] },
  { fixedArgs: ["--x", "y", ""] },
  { fixedArgs: ["--x y"] },
  { env: { A: "1" } },
  { env: { A: "1", B: "3" } },
];
for (const change of CHANGES) {
  Deno.test(`profileSignature() sees another ${JSON.stringify(change)}`, () => {
    assertNotEquals(profileSignature([profile(change)]), profileSignature([profile()]));
  });
}

Deno.test("profileProblem() takes names of any script, commands by name and by path, and any argument", () => {
  for (const displayName of ["house", "Haus 2", "ハウス", "a.b_c-d"]) {
    assertEquals(profileProblem(profile({ displayName })), undefined);
  }
  for (const command of ["codex", "/opt/x/codex"]) assertEquals(profileProblem(profile({ command })), undefined);
  assertEquals(profileProblem(profile({ fixedArgs: ["a b", "--x=$(y)", "'"] })), undefined);
});
