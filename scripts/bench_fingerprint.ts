/** Measures what watching agent CLIs costs: a look at twenty that lie still, and reading a large one. */
import process from "node:process";
import { dirname, join } from "@std/path";
import type { Runtime } from "../lib/core/model.ts";
import type { Logger } from "../lib/core/ports.ts";
import { createBinaryWatch } from "../lib/daemon/binary_watch.ts";
import { createClock } from "../lib/host/clock.ts";
import { createFiles } from "../lib/host/files.ts";
import { createFingerprints } from "../lib/host/fingerprint.ts";
import { median, spread } from "./measure.ts";

const PROGRAMS = 20;
const LOOKS = 300;
const LARGE_BYTES = 250 * 1024 * 1024;
const ROUNDS = 9;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, critical() {} };

async function put(path: string, text: string | Uint8Array, mode = 0o755): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  if (typeof text === "string") await Deno.writeTextFile(path, text, { mode });
  else await Deno.writeFile(path, text, { mode });
}

/** Half of them native programs behind a link, half npm packages with a program of their own. */
async function program(root: string, n: number): Promise<string> {
  const command = join(root, "bin", `tool${n}`);
  const owner = join(root, "lib", "node_modules", `tool${n}`);
  const native = n % 2 === 0;
  const target = join(owner, native ? "tool" : "cli.js");
  await put(target, native ? "\x7fELF" : "#!/usr/bin/env node\n");
  if (!native) {
    await put(join(owner, "package.json"), JSON.stringify({ name: `tool${n}`, version: "1.0.0" }), 0o644);
    await put(join(owner, "vendor", "tool"), "\x7fELF");
  }
  await Deno.mkdir(dirname(command), { recursive: true });
  await Deno.symlink(target, command);
  return command;
}

async function benchLook(root: string): Promise<void> {
  const clock = createClock();
  let ahead = 0;
  const runtimes: Runtime[] = [];
  for (let n = 0; n < PROGRAMS; n++) {
    const executable = await program(root, n);
    runtimes.push({ provider: `tool${n}`, family: "plain-text", executable, fixedArgs: [], version: "1.0.0" });
  }
  const watch = createBinaryWatch({
    mode: "runtime",
    intervalMs: 30_000,
    clock: { ...clock, monotonic: () => clock.monotonic() + ahead },
    log: silent,
    files: createFiles(),
    fingerprints: createFingerprints(),
    env: () => ({ HOME: root }),
    probe: (name) => Promise.resolve(runtimes.find(({ provider }) => provider === name)!),
    agents: { put() {}, drop() {} },
    offer: () => Promise.resolve(),
    busy: () => false,
    inFlight: () => ({ active: 0, claims: 0 }),
    onClaimable() {},
  });
  watch.adopt(runtimes);
  const { signal } = new AbortController();
  // The files are read until they are known.
  for (let n = 0; n < 5; n++, ahead += 3_000) await watch.look(signal);
  const wall: number[] = [];
  const cpu: number[] = [];
  for (let n = 0; n < LOOKS; n++) {
    const [began, used] = [performance.now(), process.cpuUsage()];
    await watch.look(signal);
    const { user, system } = process.cpuUsage(used);
    wall.push(performance.now() - began);
    cpu.push((user + system) / 1000);
  }
  const sum = cpu.reduce((a, b) => a + b, 0) / cpu.length;
  console.log(`a look at ${PROGRAMS} programs that lie still, CPU: mean ${sum.toFixed(2)} ms, ${spread(cpu, "ms")}`);
  console.log(`the same, wall clock: ${spread(wall, "ms")}`);
}

async function seconds(command: string, args: readonly string[]): Promise<number> {
  const began = performance.now();
  const { success } = await new Deno.Command(command, { args: [...args], stdout: "null" }).output();
  if (!success) throw new Error(`Cannot measure with ${command}: it failed`);
  return (performance.now() - began) / 1000;
}

/** Of a timer that is due every millisecond; in rounds of its own, as it takes time itself. */
async function longestStall(work: () => Promise<unknown>): Promise<number> {
  let worst = 0;
  let last = performance.now();
  const look = () => {
    worst = Math.max(worst, performance.now() - last - 1);
    last = performance.now();
  };
  const timer = setInterval(look, 1);
  await work();
  look();
  clearInterval(timer);
  return worst;
}

async function benchHash(root: string): Promise<void> {
  const path = join(root, "large");
  const bytes = new Uint8Array(LARGE_BYTES);
  for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  await put(path, bytes);
  const { hashFile } = createFingerprints();
  const ours: number[] = [];
  const openssl: number[] = [];
  const sha256sum: number[] = [];
  const stalls: number[] = [];
  await hashFile(path);
  for (let n = 0; n < ROUNDS; n++) {
    const began = performance.now();
    await hashFile(path);
    ours.push((performance.now() - began) / 1000);
    openssl.push(await seconds("openssl", ["dgst", "-sha256", path]));
    sha256sum.push(await seconds("sha256sum", [path]));
    stalls.push(await longestStall(() => hashFile(path)));
  }
  const rate = (times: readonly number[]) => LARGE_BYTES / 1e6 / median(times);
  console.log(`reading ${LARGE_BYTES / 1024 / 1024} MiB: ${rate(ours).toFixed(0)} MB/s`);
  console.log(
    `  openssl dgst -sha256: ${rate(openssl).toFixed(0)} MB/s, so ${(rate(ours) / rate(openssl)).toFixed(2)} of it`,
  );
  console.log(`  sha256sum: ${rate(sha256sum).toFixed(0)} MB/s, so ${(rate(ours) / rate(sha256sum)).toFixed(2)} of it`);
  console.log(`  longest stall of the event loop: ${spread(stalls, "ms")}`);
}

if (import.meta.main) {
  const root = await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-bench-" }));
  try {
    await benchLook(root);
    await benchHash(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}
