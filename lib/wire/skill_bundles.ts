/** Skill bundles: the shape in which a server hands out a skill, and the hash by which both sides know its bytes. */
import * as z from "zod/mini";

const Bundle = z.lazy(() =>
  z.object({
    id: z.string(),
    source: z.string(),
    name: z.string(),
    description: z.catch(z.string(), ""),
    hash: z.string(),
    content: z.string(),
    files: z.pipe(
      z.nullish(z.array(z.object({ path: z.string(), content: z.string() }))),
      z.transform((files) => files ?? []),
    ),
  })
);
export type SkillBundle = z.infer<typeof Bundle>;

const ResolveResponse = z.lazy(() => z.object({ bundles: z.array(Bundle) }));

/** Throws when it is not the protocol. */
export function readBundles(value: unknown): SkillBundle[] {
  return ResolveResponse.parse(value).bundles;
}

export function readBundle(value: unknown): SkillBundle | undefined {
  const result = Bundle.safeParse(value);
  return result.success ? result.data : undefined;
}

/** Of its content, not of what it says of itself (wire protocol 1.16). */
export async function bundleHash({ source, id, name, description, content, files }: SkillBundle): Promise<string> {
  const parts = ["v1", source, id, name, description, content];
  const inOrder = files.map((file) => ({ ...file, bytes: utf8(file.path) })).toSorted((a, b) =>
    compareBytes(a.bytes, b.bytes)
  );
  for (const file of inOrder) parts.push(file.path, await sha256(file.content), file.content);
  // The lengths keep a part from passing for two.
  return await sha256(parts.map((part) => `${utf8(part).length}:${part}\n`).join(""));
}

async function sha256(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text)));
  return `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** A comparison of strings goes by UTF-16 and would put some characters elsewhere. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    if (a[at] !== b[at]) return a[at]! - b[at]!;
  }
  return a.length - b.length;
}
