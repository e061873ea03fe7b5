/** The cache of skills: what is held is not asked for again, what is damaged is, and a cache that fails costs no task. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { HostError } from "../../lib/core/ports.ts";
import { resolveSkills, type SkillCacheOptions } from "../../lib/daemon/skill_cache.ts";
import { createFiles } from "../../lib/host/files.ts";
import { bundleHash, type SkillBundle } from "../../lib/wire/skill_bundles.ts";
import type { SkillRef } from "../../lib/wire/payloads.ts";
import type { CallResult } from "../../lib/wire/retry.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { LOST, ok, refused } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";

const TASK = { id: "t", runtime_id: "r" };

async function bundle(change: Partial<SkillBundle> = {}): Promise<SkillBundle> {
  const raw = {
    id: "s",
    source: "workspace",
    name: "n",
    description: "",
    hash: "",
    content: "c",
    files: [],
    ...change,
  };
  return { ...raw, hash: await bundleHash(raw) };
}

const refOf = ({ id, source, hash, name }: SkillBundle, change: Partial<SkillRef> = {}): SkillRef => ({
  id,
  source,
  hash,
  name,
  size_bytes: 0,
  ...change,
});

/** A server that answers in turn, the last answer for ever. */
class Asked {
  count = 0;
  readonly log = keptLog();
  readonly clock = new FakeClock();
  readonly stop = new AbortController();
  constructor(readonly dir: TempDirectory, readonly answers: readonly CallResult<SkillBundle>[]) {}

  options(change: Partial<SkillCacheOptions> = {}): SkillCacheOptions {
    const answer = () => Promise.resolve(this.answers[Math.min(this.count++, this.answers.length - 1)]!);
    return {
      client: { call: answer as unknown as SkillCacheOptions["client"]["call"] },
      directory: this.dir.at("cache"),
      files: createFiles(),
      clock: this.clock,
      log: this.log,
      signal: this.stop.signal,
      ...change,
    };
  }

  async resolve(refs: readonly SkillRef[], change: Partial<SkillCacheOptions> = {}) {
    const result = resolveSkills(TASK, refs, this.options(change));
    result.catch(() => {});
    let over = false;
    void result.finally(() => over = true).catch(() => {});
    for (let i = 0; i < 200 && !over; i++) {
      await this.clock.settle();
      if (!over) await this.clock.advance(100);
    }
    return await result;
  }
}

Deno.test("resolveSkills() asks for a skill once, and again when what it kept was changed", async () => {
  await using dir = await tempDirectory();
  const whole = await bundle();
  const asked = new Asked(dir, [ok(whole)]);
  for (let i = 0; i < 3; i++) {
    const result = await asked.resolve([refOf(whole)]);
    assertEquals(result.kind === "resolved" && result.skills.map(({ content }) => content), ["c"]);
  }
  assertEquals(asked.count, 1);
  const [name] = await asked.options().files.list(dir.at("cache"));
  assertEquals(name, `${whole.hash.slice(7)}.json`);
  for (const damaged of [JSON.stringify({ ...whole, content: "evil" }), "{", ""]) {
    await Deno.writeTextFile(dir.at(`cache/${name}`), damaged);
    const before = asked.count;
    const result = await asked.resolve([refOf(whole)]);
    assertEquals(result.kind === "resolved" && result.skills[0]!.content, "c");
    assertEquals(asked.count, before + 1);
  }
});

Deno.test("resolveSkills() takes another version of a workspace's skill when it is whole, and of a plugin never", async () => {
  await using dir = await tempDirectory();
  const newer = await bundle({ content: "newer" });
  const old = refOf(newer, { hash: `sha256:${"0".repeat(64)}` });
  const taken = await new Asked(dir, [ok(newer)]).resolve([old]);
  assertEquals(taken.kind === "resolved" && taken.skills[0]!.content, "newer");
  const plugin = await bundle({ source: "plugin" });
  const refused = await new Asked(dir, [ok(plugin)]).resolve([refOf(plugin, { hash: old.hash })]);
  assertEquals(refused.kind, "unavailable");
});

Deno.test("resolveSkills() tries again what can pass, three times in all, and nothing else", async () => {
  await using dir = await tempDirectory();
  const whole = await bundle();
  const cases: readonly (readonly [CallResult<SkillBundle>[], count: number, how: string])[] = [
    [[LOST, refused(503), ok(whole)], 3, "resolved"],
    [[LOST], 3, "unavailable"],
    [[refused(400)], 1, "unavailable"],
    [[refused(409)], 1, "conflict"],
  ];
  for (const [answers, count, how] of cases) {
    const asked = new Asked(dir, answers);
    const result = await asked.resolve([refOf(whole, { hash: "sha256:none" })]);
    const conflict = result.kind === "unavailable" && result.conflict;
    assertEquals([conflict ? "conflict" : result.kind, asked.count], [how, count]);
  }
});

Deno.test("resolveSkills() keeps the order of the references, in whatever order the answers come", async () => {
  await using dir = await tempDirectory();
  const all = await Promise.all(Array.from({ length: 9 }, (_, i) => bundle({ content: `${i}` })));
  const asked = new Asked(dir, []);
  const call = async ({ body }: { body: { skills: SkillRef[] } }) => {
    const at = all.findIndex(({ hash }) => hash === body.skills[0]!.hash);
    await asked.clock.sleep(1_000 - 100 * at);
    return ok(all[at]!);
  };
  const client = { call } as unknown as SkillCacheOptions["client"];
  const result = await asked.resolve(all.map((one) => refOf(one)), { client });
  assertEquals(result.kind === "resolved" && result.skills.map(({ content }) => content), [..."012345678"]);
});

Deno.test("resolveSkills() goes on without a cache that cannot be written", async () => {
  await using dir = await tempDirectory();
  const whole = await bundle();
  const files = { ...createFiles(), writeAtomic: () => Promise.reject(new HostError("no-space", "disk full")) };
  const asked = new Asked(dir, [ok(whole)]);
  assertEquals((await asked.resolve([refOf(whole)], { files })).kind, "resolved");
  assertEquals(asked.log.said("warn").length, 1);
});

Deno.test("resolveSkills() makes no file of a hash that is none", async () => {
  await using dir = await tempDirectory();
  const odd = { ...await bundle(), hash: "sha256:../../../evil" };
  const asked = new Asked(dir, [ok(odd)]);
  await asked.resolve([refOf(odd)]);
  assertEquals([...Deno.readDirSync(dir.path)].length, 0);
});

Deno.test("resolveSkills() forgets the skills that were not used for longest", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("cache"));
  const name = (i: number) => `${i.toString(16).padStart(64, "0")}.json`;
  for (let i = 0; i < 120; i++) {
    Deno.writeTextFileSync(dir.at(`cache/${name(i)}`), "{}");
    Deno.utimeSync(dir.at(`cache/${name(i)}`), 1_000 + i, 1_000 + i);
  }
  const whole = await bundle();
  await new Asked(dir, [ok(whole)]).resolve([refOf(whole)]);
  const left = new Set([...Deno.readDirSync(dir.at("cache"))].map((entry) => entry.name));
  assertEquals([left.size, left.has(name(20)), left.has(name(21))], [100, false, true]);
  assert(left.has(`${whole.hash.slice(7)}.json`));
});

Deno.test("resolveSkills() ends with its task", async () => {
  await using dir = await tempDirectory();
  const whole = await bundle();
  const asked = new Asked(dir, [LOST]);
  const result = resolveSkills(TASK, [refOf(whole)], asked.options());
  await asked.clock.settle();
  asked.stop.abort(new Error("The task was cancelled"));
  await assertRejects(() => result, Error, "cancelled");
});
