/** Where a linted file is within the project: what the lint rules go by. */

const ROOT = decodeURIComponent(new URL("..", import.meta.url).pathname);

/** The path below the project with `/`; a relative name is taken as one already. */
export function projectPath(filename: string): string {
  const path = filename.startsWith("file://") ? decodeURIComponent(new URL(filename).pathname) : filename;
  return path.startsWith(ROOT) ? path.slice(ROOT.length) : path;
}

/** Source files that come with the program: main.ts and lib, without type-only declarations. */
export function isProgram(path: string): boolean {
  return (path === "main.ts" || path.startsWith("lib/")) && !path.endsWith(".d.ts");
}
