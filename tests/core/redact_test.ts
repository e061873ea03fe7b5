/** Redaction: each known shape of a secret goes, and nothing else does; texts are cut between characters. */
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { REDACTIONS, redactText, redactValue, settledLength, truncateUtf8 } from "../../lib/core/redact.ts";
import { randomFrom, seedOfRun } from "./seed.ts";

const KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----";

/** Put together here, so that no scanner takes this file for a leak. */
const join = (...parts: string[]) => parts.join("");

/** A secret, and what is left of it. */
const SECRETS: readonly [secret: string, left: string][] = [
  [KEY, "[redacted private key]"],
  [KEY.replaceAll("RSA ", ""), "[redacted private key]"],
  [join("AKIA", "ABCDEFGHIJKLMNOP"), "[redacted AWS key]"],
  [join("ASIA", "ABCDEFGHIJ012345"), "[redacted AWS key]"],
  [join("ghp", "_abcdefghijklmnopqrstuvwxyz0123456789"), "[redacted GitHub token]"],
  [join("ghs", "_abcdefghijklmnopqrstuvwxyz0123456789"), "[redacted GitHub token]"],
  [join("github", "_pat_11ABCDEFG0abcdefghij_klmnop"), "[redacted GitHub token]"],
  [join("glpat", "-abcdefghij0123456789"), "[redacted GitLab token]"],
  [join("xoxb", "-123456789012-abcdefABCDEF"), "[redacted Slack token]"],
  [join("AIza", "SyA-0123456789_abcdefghijklmnopqrst"), "[redacted Google key]"],
  [join("sk_", "live_abcdefghijklmnop1234"), "[redacted Stripe key]"],
  [join("rk_", "test_abcdefghijklmnop1234"), "[redacted Stripe key]"],
  [join("sk-", "ant-api03-abcdefghijklmnop"), "[redacted API key]"],
  [join("sk-", "proj-abcdefghijklmnop_1234"), "[redacted API key]"],
  [join("mat", "_0123456789abcdef0123456789abcdef01234567"), "[redacted token]"],
  [join("mul", "_0123456789abcdef0123456789abcdef01234567"), "[redacted token]"],
  [join("mdt", "_0123456789abcdef0123456789abcdef01234567"), "[redacted token]"],
  [join("mcn", "_0123456789abcdef0123456789abcdef01234567"), "[redacted token]"],
  [join("eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh-ijkl_mnop"), "[redacted JWT]"],
  ["Bearer abcdefghijklmnop.qrst", "Bearer [redacted]"],
  ["authorization: bearer   abcdefghijklmnop==", "authorization: bearer [redacted]"],
  ["https://me:hunter2@example.test/x", "https://me:[redacted]@example.test/x"],
  ["postgres://app:p%40ss!@db.example.test:5432/x", "postgres://app:[redacted]@db.example.test:5432/x"],
  ["DB_PASSWORD=hunter22", "DB_PASSWORD=[redacted]"],
  ['export MY_API_KEY = "abcdef123"', 'export MY_API_KEY = "[redacted]"'],
  ["AWS_SECRET_ACCESS_KEY='abc/def+ghi'", "AWS_SECRET_ACCESS_KEY='[redacted]'"],
  ['FOO_TOKEN="two words"', 'FOO_TOKEN="[redacted]"'],
  ["DB_PASSWORD='of three words'", "DB_PASSWORD='[redacted]'"],
  ['DB_PASSWORD="that\'s it"', 'DB_PASSWORD="[redacted]"'],
  [`GCP_PRIVATE_KEY="${"k3y/".repeat(400)}"`, 'GCP_PRIVATE_KEY="[redacted]"'],
  ['PASSWORD=":secret12"', 'PASSWORD="[redacted]"'],
  ['PASSWORD=",;abcdefgh"', 'PASSWORD="[redacted]"'],
  ["PASSWORD='}hunter2222'", "PASSWORD='[redacted]'"],
  ['PASSWORD="}hunter2222"', 'PASSWORD="[redacted]"'],
  ['{"OPENAI_API_KEY": "abcd1234"}', '{"OPENAI_API_KEY": "[redacted]"}'],
  ["OPENAI_API_KEY: 'abcd 1234'", "OPENAI_API_KEY: '[redacted]'"],
  ["NPM_TOKEN=abcdefg", "NPM_TOKEN=[redacted]"],
];

Deno.test("redactText() takes out every known shape of a secret and leaves what is around it", () => {
  for (const [secret, left] of SECRETS) {
    assertEquals(redactText(secret), left);
    assertEquals(redactText(`before ${secret} after`), `before ${left} after`);
    assertEquals(redactText(JSON.stringify(secret)), JSON.stringify(left));
    assertEquals(redactText(`${secret}\n${secret}`), `${left}\n${left}`);
  }
});

Deno.test("redactText() has at least one secret for each of its patterns", () => {
  const unmet = REDACTIONS.filter(({ pattern }) => !SECRETS.some(([secret]) => secret.search(pattern) >= 0));
  assertEquals(unmet.map(({ pattern }) => pattern.source), []);
});

Deno.test("redactText() leaves a secret alone once it is gone", () => {
  for (const [secret] of SECRETS) assertEquals(redactText(redactText(secret)), redactText(secret));
});

Deno.test("redactText() harms nothing that only looks like a secret", () => {
  const harmless = [
    "The token is stored in the keychain; the password is not.",
    "const token = readToken(); if (!token) throw new Error('no token');",
    "MAX_TOKENS=4096",
    '{"a":"TOKEN=", "b":"TOKEN=","TOKEN": true, "MAX_TOKENS": 409600}',
    "API_KEY: see the documentation; headers['TOKEN='+name] and \"TOKEN=\" + name",
    's.startsWith("API_KEY=")) return s.slice("API_KEY=".length)',
    's.startsWith("API_KEY: ")) return s.slice("API_KEY: ".length)',
    `JSON.stringify({ a: "TOKEN=" }) + "TOKEN=".concat("x")`,
    String.raw`{"a":"{\"b\":\"API_KEY=\"}) and then (\"API_KEY=\")"}`,
    `{"a":"use API_KEY: 'x","b":"don't"}`,
    `{"a":"use API_KEY='x y","b":"don't"}`,
    'TOKEN_URL: "https://example.test/token", MAX_TOKENS: "409600"',
    '{"TOKEN_URL":"https://example.test/token","MAX_TOKENS":"409600"}',
    'TOKEN="no end of it\nand another line"',
    "KEY_LIKE_THIS stands alone, PASSWORD= has no value and TOKEN=short neither",
    "task-2f1c0b5e sk-learn desk-1234 ghp_short xoxo-hugs AKIA",
    "see https://example.test/path?a=b&c=d and mailto:me@example.test",
    "https://example.test:8443/a@b and ssh://git@example.test/r.git",
    "http://[::1]:8080/ and git@example.test:r.git",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "the Bearer of bad news",
    "eyJhbGciOiJIUzI1NiJ9 alone is no token",
    "0123456789abcdef0123456789abcdef01234567",
    "mat_0123",
    "",
  ];
  for (const text of harmless) assertEquals(redactText(text), text);
});

Deno.test("redactText() takes out a private key whose end is missing, up to the next quote", () => {
  const cut = KEY.slice(0, 60);
  assertEquals(redactText(`cat key\n${cut}`), "cat key\n[redacted private key]");
  assertEquals(redactText(JSON.stringify({ a: cut, b: "kept" })), '{"a":"[redacted private key]","b":"kept"}');
});

Deno.test("redactText() leaves a line of JSON readable, whatever secrets are in it", () => {
  const fields = {
    url: "http://embedded.drover",
    who: "me:x@example.test",
    list: SECRETS.map(([secret]) => secret),
    nested: { more: SECRETS.map(([secret]) => `say ${secret} twice`) },
    last: "kept@the.end",
  };
  const line = redactText(JSON.stringify(fields));
  const read = JSON.parse(line);
  assertEquals([read.url, read.who, read.last], [fields.url, fields.who, fields.last]);
  assertEquals(read.list.length, SECRETS.length);
});

Deno.test("redactText() takes its time in step with the length of the text", () => {
  const blobs = [
    "a-".repeat(300_000),
    "x://".repeat(150_000),
    "TOKEN_".repeat(100_000),
    "sk-".repeat(200_000),
    "eyJaaaaaaaa-".repeat(20_000),
    `TOKEN="a`.repeat(80_000),
    `TOKEN="a'TOKEN='`.repeat(40_000),
    `TOKEN: 'a `.repeat(60_000),
    `-----BEGIN PRIVATE KEY-----"`.repeat(60_000),
  ];
  const words = ["https://example.test/a,".repeat(25_000), "A1_".repeat(200_000), "-----BEGIN ".repeat(50_000)];
  const began = performance.now();
  for (const text of [...blobs, ...words]) redactText(`TOKEN ${text}`);
  // A search that looks from every place to the end takes minutes here.
  assertLess(performance.now() - began, 10_000);
});

Deno.test("redactValue() goes through every string of a JSON value and keeps its keys", () => {
  const token = SECRETS[4]![0];
  assertEquals(
    redactValue({ a: [token, { [token]: `x ${token}` }], n: 1, t: true, none: null }),
    {
      a: ["[redacted GitHub token]", { [token]: "x [redacted GitHub token]" }],
      n: 1,
      t: true,
      none: null,
    } as unknown as ReturnType<typeof redactValue<Parameters<typeof redactValue>[0]>>,
  );
  assertEquals(redactValue(undefined), undefined);
});

Deno.test("redactValue() blots out a value whose key names it a secret, as it would in an assignment", () => {
  const env = {
    DB_PASSWORD: "hunter22",
    API_KEY: "abcdef",
    TOKEN: "short",
    MAX_TOKENS: "409600",
    TOKEN_URL: "https://example.test/token",
    token: "tokenizer",
    PATH: "/usr/bin",
  };
  assertEquals(redactValue({ env }), { env: { ...env, DB_PASSWORD: "[redacted]", API_KEY: "[redacted]" } });
});

Deno.test("settledLength() holds back the word that may go on, with what makes it a secret", () => {
  const rows: [text: string, settled: string][] = [
    ["hello wor", "hello "],
    ["hello ", "hello "],
    ["hello\n", "hello\n"],
    ["word", ""],
    ["", ""],
    ["use Bearer abc", "use "],
    ["use Bearer ", "use "],
    ["set API_KEY = ab", "set "],
    ["set API_KEY =", "set "],
    [`key:\n${KEY.slice(0, 50)}`, "key:\n"],
    [`key:\n${KEY.slice(0, 20)}`, "key:\n"],
    [`key:\n${KEY} and`, `key:\n${KEY} `],
    ["-----BEGIN CERTIFICATE-----\nMIIB\nxy", "-----BEGIN CERTIFICATE-----\nMIIB\n"],
  ];
  for (const [text, settled] of rows) assertEquals(text.slice(0, settledLength(text)), settled, JSON.stringify(text));
});

Deno.test("settledLength() lets text without spaces go", () => {
  assertEquals(settledLength("x".repeat(100_000)), 100_000);
});

Deno.test("settledLength() never lets half of a secret out, wherever the text was cut", () => {
  for (const [secret] of SECRETS) {
    const whole = `look: ${secret} done`;
    for (let cut = 1; cut < whole.length; cut++) {
      const settled = settledLength(whole.slice(0, cut));
      const passed = redactText(whole.slice(0, settled)) + redactText(whole.slice(settled));
      assertEquals(passed, redactText(whole), `cut at ${cut}`);
    }
  }
});

Deno.test("truncateUtf8() leaves a text that fits as it is", () => {
  for (const text of ["", "abc", "ääää", "😀😀"]) {
    assertEquals(truncateUtf8(text, new TextEncoder().encode(text).length), text);
  }
});

Deno.test("truncateUtf8() says how much is missing", () => {
  const cut = truncateUtf8("x".repeat(1_000), 100);
  assertStringIncludes(cut, "[900+ bytes cut]");
  assertEquals(new TextEncoder().encode(cut).length, 100);
});

Deno.test("truncateUtf8() never splits a character and never exceeds the limit", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const alphabet = ["a", "ß", "€", "😀", "\n", "…"];
  for (let round = 0; round < 3_000; round++) {
    const length = Math.floor(random() * 120);
    const text = Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]).join("");
    const limit = Math.floor(random() * 200);
    const cut = truncateUtf8(text, limit);
    const bytes = new TextEncoder().encode(cut).length;
    assert(bytes <= limit, `seed ${seed}: ${bytes} bytes, ${limit} allowed`);
    const kept = cut.replace(/ …\[\d+\+ bytes cut\]$/, "");
    assert(text.startsWith(kept), `seed ${seed}: ${JSON.stringify(cut)} is no beginning of ${JSON.stringify(text)}`);
  }
});
