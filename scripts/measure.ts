/** What the measurements share: a series of values in one line, and a program that does nothing as their baseline. */
import { join } from "@std/path";
import { compile } from "./build.ts";
import { findToolchain } from "./denort.ts";

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

export function spread(values: readonly number[], unit: string): string {
  const show = (value: number) => value.toFixed(value < 10 ? 1 : 0);
  const [min, max] = [Math.min(...values), Math.max(...values)];
  return `median ${show(median(values))} ${unit}, min ${show(min)}, max ${show(max)} (n = ${values.length})`;
}

/** A script as an executable like drover's own, in `folder`. */
export async function compileScript(
  folder: string,
  { name, source }: { name: string; source: string },
): Promise<string> {
  const path = join(folder, `${name}.ts`);
  await Deno.writeTextFile(path, source);
  const executable = join(folder, name);
  await compile(await findToolchain(), path, executable);
  return executable;
}
