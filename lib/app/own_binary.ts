/** drover's own executable, watched: what runs against what stands at the path that a restart would start. */
import type { Change } from "../core/reload_gate.ts";
import type { FileMark, Host, Logger } from "../core/ports.ts";
import { DroverError } from "../core/drover_error.ts";
import { HostError } from "../core/ports.ts";
import {
  confirmedChange,
  lookAgainMs,
  needsHash,
  needsProbe,
  type Sight,
  startWatch,
  stepWatch,
  unsettled,
  type Watch,
  type WatchEvent,
  type WatchNews,
} from "../core/reload.ts";
import { sightOf } from "../core/reload_sight.ts";
import type { OwnProgram } from "../daemon/reload_runner.ts";
import { preflight } from "./preflight.ts";

export type OwnBinaryPorts = Pick<Host, "clock" | "fingerprints" | "processes" | "system">;

export interface OwnBinaryOptions {
  readonly mode: "notify" | "restart";
  readonly version: string;
  readonly intervalMs: number;
  readonly log: Logger;
  /** Somebody else restarts this daemon for a new program, and decides when. */
  readonly leftToOthers: () => Promise<boolean>;
}

/** A change counts only once the new file has said its version: what cannot take over is not waited for. */
export function watchOwnBinary(ports: OwnBinaryPorts, options: OwnBinaryOptions): OwnProgram {
  return new OwnWatch(ports, options);
}

const SAID: { readonly [N in WatchNews]: string } = {
  settling: "drover itself is being replaced",
  changed: "drover itself was replaced",
  appeared: "drover itself was replaced",
  reverted: "drover itself is again what runs",
  back: "drover itself is what runs after all",
  withdrawn: "drover itself is gone",
};

const WAITS_FOR = {
  notify: "reload.self is notify: drover restart takes it",
  restart: "the daemon restarts for it when its tasks are done",
  updater: "the updater restarts the daemon when its tasks are done",
} as const;

class OwnWatch implements OwnProgram {
  readonly #ports: OwnBinaryPorts;
  readonly #options: OwnBinaryOptions;
  readonly #path: string;
  /** Of what runs; empty until it has been read. */
  #running = "";
  #watch: Watch | undefined;
  #mark: FileMark | undefined;
  #refusedWhy = "";
  /** Nobody acts before it was asked who is to. */
  #leftToOthers = true;

  constructor(ports: OwnBinaryPorts, options: OwnBinaryOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#path = ports.system.selfCommand[0] ?? "";
  }

  changes(): readonly Change[] {
    const pending = this.#watch && confirmedChange(this.#watch);
    if (this.#leftToOthers || !pending || pending.digest === this.#running) return [];
    const since = this.#wall(pending.since);
    return [{ program: "drover", own: true, oldDigest: this.#running, newDigest: pending.digest, since }];
  }

  settling(): boolean {
    return this.#watch !== undefined && !this.#leftToOthers && unsettled(this.#watch);
  }

  waits(): ReturnType<OwnProgram["waits"]> {
    const pending = this.#watch?.pending;
    if (!pending || pending.digest === this.#running) return undefined;
    const { mode } = this.#options;
    const unproven = this.#refusedWhy || "its version is not known yet";
    return {
      since: this.#wall(pending.since),
      binary: this.#path,
      oldDigest: this.#running,
      newDigest: pending.digest,
      why: this.#leftToOthers ? WAITS_FOR.updater : pending.version === undefined ? unproven : WAITS_FOR[mode],
    };
  }

  async run(signal: AbortSignal, onLooked: () => void): Promise<void> {
    const { clock, fingerprints, system } = this.#ports;
    const { intervalMs, log } = this.#options;
    let waitMs = intervalMs;
    while (!signal.aborted) {
      try {
        await clock.sleep(waitMs, { signal });
        if (this.#watch === undefined) {
          this.#running = await fingerprints.hashFile(system.image, { signal });
          this.#begin();
        }
        await this.#look(signal);
        const watch = this.#watch!;
        // Nearly always there is nothing to be left to anybody.
        const isOpen = watch.pending !== undefined || unsettled(watch);
        this.#leftToOthers = !isOpen || await this.#options.leftToOthers();
        waitMs = lookAgainMs(watch, intervalMs);
        onLooked();
      } catch (error) {
        if (signal.aborted) return;
        waitMs = intervalMs;
        log.error("looking at drover itself failed", { error: (error as Error).stack ?? String(error) });
      }
    }
  }

  #begin(): void {
    const { version } = this.#options;
    this.#watch = startWatch({ digest: this.#running, version }, this.#ports.clock.monotonic());
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    this.#step({ kind: "sighted", sight: await this.#sight(signal) });
    const digest = this.#watch!.sample?.digest;
    if (digest === undefined || !needsProbe(this.#watch!, clock.monotonic())) return;
    const result = await this.#probe(signal);
    // Another file may have answered than the one that was read.
    const after = await this.#glance();
    if (after.kind === "seen" && after.mark === this.#watch!.sample?.mark) {
      this.#step({ kind: "probed", digest, result });
    }
  }

  #step(event: WatchEvent): void {
    const { watch, news } = stepWatch(this.#watch!, event, this.#ports.clock.monotonic());
    this.#watch = watch;
    for (const one of news) {
      const digest = watch.sample?.digest;
      this.#options.log.info(SAID[one], {
        path: this.#path,
        running: this.#running,
        ...(digest ? { digest } : {}),
        ...(watch.pending?.version ? { version: watch.pending.version } : {}),
      });
    }
    // It is never without a program: whatever comes to stand there is a change of what runs.
    if (watch.state.kind === "absent") this.#begin();
  }

  async #probe(signal: AbortSignal): Promise<Extract<WatchEvent, { kind: "probed" }>["result"]> {
    try {
      return { kind: "version", version: await preflight(this.#ports, { signal }) };
    } catch (error) {
      if (!(error instanceof DroverError)) throw error;
      if (this.#refusedWhy !== error.message) {
        this.#options.log.warn("the new drover is not fit to take over", { why: error.message });
      }
      this.#refusedWhy = error.message;
      return { kind: "nothing" };
    }
  }

  async #sight(signal: AbortSignal): Promise<Sight> {
    const { clock, fingerprints } = this.#ports;
    const sight = await this.#glance();
    if (sight.kind !== "seen" || !needsHash(this.#watch!, sight.mark, clock.monotonic())) return sight;
    try {
      const digest = await fingerprints.hashFile(this.#path, { signal });
      const after = await this.#glance();
      return after.kind === "seen" && after.mark === sight.mark ? { ...sight, digest } : after;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return error.code === "not-found" ? { kind: "missing" } : { kind: "unreadable", why: error.message };
    }
  }

  /** The wall clock's time of a moment on the other clock. */
  #wall(monotonic: number): number {
    const { clock } = this.#ports;
    return Math.round(clock.now() - (clock.monotonic() - monotonic));
  }

  async #glance(): Promise<Sight> {
    const look = await this.#ports.fingerprints.look(this.#path, this.#mark);
    this.#mark = "mark" in look ? look.mark : undefined;
    return sightOf([{ role: "program", look }]);
  }
}
