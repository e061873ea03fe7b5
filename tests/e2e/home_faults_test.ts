/** A home that is damaged, read-only or full: it says which file and what to do, and what it says works. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { DatabaseSync } from "node:sqlite";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { readOnlyHome, SmallDisk, whyNoMounts } from "../support/mounts.ts";
import { compiledForm } from "../support/program.ts";

const DEMO = ["run", "--agent", "demo", "--scratch", "@demo:fast"];

interface Damage {
  readonly file: "coordinator.db" | "outbox.db";
  readonly what: string;
  readonly harm: (path: string) => Promise<void>;
  readonly says: readonly string[];
  /** The store's own tests have it too: only the soak tries it in the whole program. */
  readonly alsoThere?: true;
}

const garbage = (path: string) => Deno.writeTextFile(path, "this is no database. ".repeat(1_000));
const cutInHalf = async (path: string) => await Deno.truncate(path, Math.floor((await Deno.stat(path)).size / 2));
const newer = async (path: string) => {
  using db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 99");
  // A task database says which programs can still read it.
  const [told] = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'meta'").all();
  if (told) db.exec("UPDATE meta SET value = '99' WHERE key = 'readable_by'");
  await Promise.resolve();
};
const foreign = async (path: string) => {
  await Deno.remove(path);
  using db = new DatabaseSync(path);
  db.exec("CREATE TABLE songs (title TEXT)");
};

const alsoThere = true;

const DAMAGES: readonly Damage[] = [
  { file: "coordinator.db", what: "is garbage", harm: garbage, says: ["damaged", "move it"] },
  { file: "coordinator.db", what: "is cut in half", harm: cutInHalf, says: ["damaged", "move it"] },
  { file: "coordinator.db", what: "has a newer schema", harm: newer, says: ["99", "newer drover"], alsoThere },
  {
    file: "coordinator.db",
    what: "is another program's",
    harm: foreign,
    says: ["another program", "move it aside"],
    alsoThere,
  },
  { file: "outbox.db", what: "is garbage", harm: garbage, says: ["not delivered yet", "move it aside"], alsoThere },
  { file: "outbox.db", what: "is cut in half", harm: cutInHalf, says: ["not delivered yet", "move it aside"] },
  { file: "outbox.db", what: "has a newer schema", harm: newer, says: ["99", "newer drover"] },
  {
    file: "outbox.db",
    what: "is another program's",
    harm: foreign,
    says: ["another program", "move it aside"],
    alsoThere,
  },
];

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("a damaged store is refused with its path and the way out, and that way works"), async () => {
    const damages = DAMAGES.filter(({ alsoThere }) => !alsoThere || isLong());
    await Promise.all(damages.map(async ({ file, what, harm, says }) => {
      await using home = await TestHome.create(form);
      assertEquals((await home.drover(DEMO)).code, 0);
      const path = join(home.home, file);
      await harm(path);
      const commands = file === "coordinator.db" ? [DEMO, ["daemon"], ["tasks", "list"]] : [DEMO, ["daemon"]];
      for (const args of commands) {
        const { code, value } = await home.json(args);
        const about = `${args[0]} where ${file} ${what}: ${JSON.stringify(value)}`;
        assertEquals([code, value.error?.code], [EXIT_CODES.home.code, "store_unusable"], about);
        for (const part of [path, ...says]) assertStringIncludes(value.error.message, part, about);
      }
      await Deno.rename(path, `${path}.aside`);
      for (const rest of ["-wal", "-shm"]) await Deno.remove(path + rest).catch(() => {});
      assertEquals((await home.drover(DEMO)).code, 0, `${file} ${what}, and was moved aside`);
      await home.assertNoProcessLeft();
    }));
  });
}

const noMounts = whyNoMounts();
if (noMounts !== undefined) console.warn(`Tests of read-only and full disks are left out: ${noMounts}`);

for (const form of compiledForm()) {
  Deno.test({
    name: `[${form.kind}] a home on a read-only file system is refused by everything that would write`,
    ignore: noMounts !== undefined,
    async fn() {
      await using home = await TestHome.create(readOnlyHome(form));
      await Deno.mkdir(home.home, { mode: 0o700 });
      for (const args of [DEMO, ["daemon"]]) {
        const { code, value } = await home.json(args);
        assertEquals([code, value.error?.code], [EXIT_CODES.home.code, "home_unusable"], JSON.stringify(value));
        for (const part of [home.home, "Read-only file system"]) assertStringIncludes(value.error.message, part);
        assertStringIncludes(value.error.hint, "set DROVER_HOME");
      }
      assertEquals([...Deno.readDirSync(home.home)], []);
    },
  });

  Deno.test({
    name: `[${form.kind}] a home on a full disk is refused with what to do, and used again once there is room`,
    ignore: noMounts !== undefined,
    async fn() {
      await using disk = await SmallDisk.create(form, 4 * 1024 * 1024);
      const { home } = disk;
      for (const before of ["new", "used"]) {
        await disk.fill();
        for (const args of [DEMO, ["daemon"]]) {
          const { code, value } = await home.json(args);
          const about = `${args[0]} with a ${before} home: ${JSON.stringify(value)}`;
          assertEquals([code, value.error?.code], [EXIT_CODES.home.code, "home_unusable"], about);
          assertStringIncludes(value.error.message, home.home, about);
          assertStringIncludes(value.error.hint, "make room", about);
        }
        await disk.free();
        assertEquals((await home.drover(DEMO)).code, 0, `${before} home, with room`);
      }
      await home.assertNoProcessLeft();
    },
  });

  Deno.test({
    name: `[${form.kind}] a disk that fills while a task runs: the outcome waits in memory, and nothing of it is lost`,
    ignore: noMounts !== undefined,
    async fn() {
      await using disk = await SmallDisk.create(form, 4 * 1024 * 1024);
      const { home } = disk;
      await home.script("claude", TALKATIVE.replaceAll("GO", join(home.root, "go")));
      const daemon = await home.daemon();
      const run = home.json(["run", "--agent", "claude", "--scratch", "hi"]);
      const status = await statusOf(disk);
      await eventually(async () => (await status()).tasks[0]?.stage === "running", "the agent runs");

      await disk.fill();
      await Deno.writeTextFile(join(home.root, "go"), "");
      await eventually(async () => (await status()).tasks[0]?.stage === "reporting", "the agent is done");
      const held = await status();
      assertEquals([held.outbox.degraded, held.holding], [true, "outbox-unwritable"], JSON.stringify(held));
      assertEquals(held.slots.running, 1, "the slot stays taken");
      const refused = await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"]);
      assertEquals([refused.code, refused.value.error?.code], [EXIT_CODES.home.code, "store_unusable"]);
      assertStringIncludes(refused.value.error.message, "full");

      await disk.free();
      const { code, value } = await run;
      assertEquals([code, value.task?.status, value.task?.output], [0, "completed", "all said"], JSON.stringify(value));
      const texts = value.messages.map((message: { content: string }) => message.content).join("");
      assertEquals(texts.match(/word \d+;/g)?.length, 2_000);
      assertEquals(
        value.messages.map((message: { seq: number }) => message.seq),
        value.messages.map((_: unknown, index: number) => index + 1),
      );
      await eventually(async () => (await status()).outbox.waiting === 0, "nothing waits any more");
      assertEquals((await home.drover(DEMO)).code, 0, "and it takes tasks again");
      await daemon.stop();
      await home.assertNoProcessLeft();
    },
  });
}

/** Starts, waits for the file GO, then says about 900 KB and its result. */
const TALKATIVE = `if [ "$1" = --version ]; then echo "2.1.0 (Claude Code)"; exit 0; fi
echo '{"type":"system","subtype":"init","session_id":"s-1","model":"m"}'
while [ ! -e GO ]; do sleep 0.05; done
awk 'BEGIN { pad = sprintf("%400s", ""); gsub(/ /, "x", pad); for (i = 1; i <= 2000; i++)
  printf "{\\"type\\":\\"assistant\\",\\"message\\":{\\"content\\":[{\\"type\\":\\"text\\",\\"text\\":\\"word %d; %s\\"}]}}\\n", i, pad }'
echo '{"type":"result","subtype":"success","is_error":false,"result":"all said","session_id":"s-1"}'`;

/** What the daemon says of itself on its control socket; for whoever may not write, there is nothing else to look at. */
async function statusOf(disk: SmallDisk): Promise<() => Promise<Status>> {
  const record = JSON.parse(await Deno.readTextFile(disk.inside("daemon.json")));
  const socket = disk.inside(record.controlSocket.slice(disk.home.home.length + 1));
  return async () => {
    using client = createNetwork().unixClient(socket);
    const response = await client.fetch(new Request("http://drover.local/v1/status"));
    return await response.json();
  };
}

interface Status {
  readonly holding: string | null;
  readonly slots: { readonly running: number };
  readonly tasks: readonly { readonly stage: string }[];
  readonly outbox: { readonly waiting: number; readonly degraded: boolean };
}
