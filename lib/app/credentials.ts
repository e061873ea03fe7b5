/** `credentials.json`: who the owner of this home is at a team server. The token stands in this file and nowhere else. */
import * as z from "zod/mini";
import type { Home } from "../core/home.ts";
import { type Host, HostError } from "../core/ports.ts";
import { inHome, openHome } from "./home_dir.ts";

const File = z.lazy(() =>
  z.object({
    schemaVersion: z.literal(1),
    /** The token is shown to this server and to no other. */
    server: z.string(),
    token: z.string().check(z.minLength(1)),
    user: z.nullable(z.object({ id: z.string(), name: z.string(), email: z.string() })),
    /** RFC 3339; null where it does not end, or the server did not say. */
    expiresAt: z.nullable(z.string()),
    savedAt: z.string(),
  })
);
export type Credentials = Omit<z.infer<typeof File>, "schemaVersion" | "savedAt">;

const OTHERS = 0o077;

/** `undefined` for none; a damaged file says nothing, and the next login replaces it. */
export async function readCredentials({ files }: Pick<Host, "files">, home: Home): Promise<Credentials | undefined> {
  try {
    const info = await files.stat(home.credentials);
    if (!info) return undefined;
    // Copied about or restored, a file may have lost its mode.
    if ((info.mode & OTHERS) !== 0) await files.chmod(home.credentials, 0o600).catch(() => {});
    const { server, token, user, expiresAt } = File.parse(JSON.parse(await files.readText(home.credentials)));
    return { server, token, user, expiresAt };
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError || error instanceof z.core.$ZodError) {
      return undefined;
    }
    throw error;
  }
}

/** Makes the home where there is none. Throws `home_unusable`. */
export async function writeCredentials(host: Host, home: Home, credentials: Credentials): Promise<void> {
  await openHome(host, home);
  const savedAt = new Date(host.clock.now()).toISOString();
  const text = JSON.stringify({ schemaVersion: 1, ...credentials, savedAt }, null, 2) + "\n";
  await inHome(home, () => host.files.writeAtomic(home.credentials, text, { mode: 0o600 }));
}

/** False when there were none. Throws `home_unusable`. */
export async function removeCredentials({ files }: Pick<Host, "files">, home: Home): Promise<boolean> {
  if (!await inHome(home, () => files.stat(home.credentials))) return false;
  await inHome(home, () => files.remove(home.credentials));
  return true;
}

/** Its time is over by this machine's clock. */
export function isExpired({ expiresAt }: Pick<Credentials, "expiresAt">, now: number): boolean {
  return expiresAt !== null && Date.parse(expiresAt) <= now;
}
