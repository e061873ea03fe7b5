/** A program on a disk that does not exist, looked at as the daemon would: stat first, read only where the rule asks. */
import { assertEquals } from "@std/assert";
import {
  confirmedChange,
  lookAgainMs,
  needsHash,
  needsProbe,
  type ProbeResult,
  type Sight,
  startWatch,
  stepWatch,
  type Watch,
  type WatchEvent,
  type WatchNews,
  type WatchState,
} from "../../lib/core/reload.ts";

export const TICK_MS = 30_000;

export interface DiskFile {
  readonly bytes: string;
  readonly inode: number;
  readonly mtime: number;
  /** In whole seconds, as the runtime tells it. */
  readonly ctime: number;
  readonly mode: number;
}

export class WatchedDisk {
  now = 0;
  file: DiskFile | undefined;
  unreadable = false;
  /** What `--version` answers for each content; by default the content is the version. */
  readonly answers = new Map<string, ProbeResult>();
  /** What runs instead of the file, such as a newer copy in a cache. */
  runsInstead: string | undefined;
  /** Undefined: the daemon acts on nothing, as while it drains. */
  registers = true;
  everyMs: number | undefined;
  watch: Watch;
  hashes = 0;
  probes = 0;
  readonly news: { readonly at: number; readonly what: WatchNews }[] = [];
  /** What there was to see at each look: bytes, or why there were none. */
  readonly looks: { readonly at: number; readonly saw: string }[] = [];
  #inode = 0;
  #nextLook = 0;

  /** `version`: what was registered before anybody read the file. */
  constructor(bytes: string | undefined, version?: string) {
    if (bytes !== undefined) this.file = this.#fresh(bytes);
    const known = version === undefined ? { digest: bytes, version: bytes ?? "" } : { version };
    this.watch = startWatch(bytes === undefined ? undefined : known, 0);
  }

  #fresh(bytes: string): DiskFile {
    return { bytes, inode: ++this.#inode, mtime: this.now, ctime: this.#seconds(), mode: 0o755 };
  }

  #seconds(): number {
    return Math.floor(this.now / 1_000);
  }

  /** Each is one way of a file to change. */
  rename(bytes: string): void {
    this.file = this.#fresh(bytes);
  }

  overwrite(bytes: string, { keepMtime = false } = {}): void {
    if (!this.file) return this.rename(bytes);
    this.file = {
      ...this.file,
      bytes,
      ctime: this.#seconds(),
      ...(keepMtime ? {} : { mtime: this.now }),
    };
  }

  touch(): void {
    if (this.file) this.overwrite(this.file.bytes);
  }

  chmod(mode: number): void {
    if (this.file) this.file = { ...this.file, mode, ctime: this.#seconds() };
  }

  remove(): void {
    this.file = undefined;
  }

  /** Lets time pass, looking whenever the rule says so. */
  pass(ms: number): this {
    const end = this.now + ms;
    while (this.#nextLook <= end) {
      this.now = Math.max(this.now, this.#nextLook);
      this.look();
      this.#nextLook = this.now + lookAgainMs(this.watch, TICK_MS);
    }
    this.now = end;
    return this;
  }

  ticks(count: number): this {
    return this.pass(count * TICK_MS);
  }

  look(): void {
    const sight = this.#sight();
    this.looks.push({ at: this.now, saw: sight.kind === "seen" ? this.file!.bytes : `(${sight.kind})` });
    this.#step({ kind: "sighted", sight });
    const digest = this.watch.sample?.digest;
    if (digest !== undefined && needsProbe(this.watch, this.now, this.everyMs)) {
      this.probes++;
      this.#step({ kind: "probed", digest, result: this.#answer() });
    }
    const change = confirmedChange(this.watch);
    if (change && this.registers) this.#step({ kind: "registered", digest: change.digest, version: change.version });
  }

  #sight(): Sight {
    const { file } = this;
    if (this.unreadable) return { kind: "unreadable", why: "no permission" };
    if (!file) return { kind: "missing" };
    if ((file.mode & 0o111) === 0) return { kind: "not-executable" };
    const mark = JSON.stringify([file.bytes.length, file.inode, file.mtime, file.ctime, file.mode]);
    if (!needsHash(this.watch, mark, this.now)) return { kind: "seen", mark };
    this.hashes++;
    return { kind: "seen", mark, digest: file.bytes };
  }

  #answer(): ProbeResult {
    const bytes = this.runsInstead ?? this.file?.bytes ?? "";
    return this.answers.get(bytes) ?? { kind: "version", version: bytes };
  }

  #step(event: WatchEvent): void {
    const next = stepWatch(this.watch, event, this.now);
    this.watch = next.watch;
    for (const what of next.news) this.news.push({ at: this.now, what });
  }

  /** Since when every look up to the one at `time` saw one of these. */
  sawOnly(time: number, ...wanted: string[]): number {
    const until = this.looks.findLastIndex(({ at }) => at <= time);
    let from = until;
    while (from > 0 && wanted.includes(this.looks[from - 1]!.saw)) from--;
    return wanted.includes(this.looks[until]!.saw) ? this.looks[from]!.at : Infinity;
  }

  is(kind: WatchState["kind"], version?: string): this {
    assertEquals([this.watch.state.kind, this.watch.registered?.version], [kind, version], JSON.stringify(this.watch));
    return this;
  }

  told(...news: WatchNews[]): this {
    assertEquals(this.news.map(({ what }) => what), news);
    return this;
  }
}
