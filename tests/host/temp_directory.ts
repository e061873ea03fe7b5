/** A directory of its own for one test, gone with all that is in it when the test ends. */

export interface TempDirectory extends AsyncDisposable {
  readonly path: string;
  at(name: string): string;
}

export async function tempDirectory(): Promise<TempDirectory> {
  const path = await Deno.makeTempDir({ prefix: "drover-test-" });
  return {
    path,
    at: (name) => `${path}/${name}`,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
