/** Random and hostile JSON, bodies and addresses: what a broken or an evil program may send. */

type Json = unknown;

/** Every name that the protocol knows, so that what is sent gets as far as possible. */
const FIELDS = (
  "workspace_id daemon_id device_name cli_version launched_by legacy_daemon_ids runtimes failed_profiles type name version " +
  "status profile_id command_name reason runtime_id supports_batch_import runtime_ids max_tasks submitted_to offline_reasons " +
  "output session_id work_dir branch_name durable_work_dir session_rollout_missing retired_session_id pr_url error " +
  "failure_reason messages seq tool content input call_id usage entries date provider model input_tokens output_tokens " +
  "cache_read_tokens cache_write_tokens cost_usd_ticks summary step total issue_ids skills id hash source models supported " +
  "fallback target_version skill_key skill files path title description agent agent_id priority prompt directory mode " +
  "permission effort sandbox instructions mcp_config resume time_limit_ms submitted_by display_name protocol_family " +
  "fixed_args env visibility enabled max_concurrent_tasks comment parent_id author_type thread_id"
).split(" ");

/** Put into the text in place of `"@@name@@"`: what `JSON.stringify` would not write. */
const RAW: Readonly<Record<string, string>> = {
  deep: `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
  deeper: `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`,
  huge: "1e999",
  tiny: "-1e-999",
  long: "1".repeat(400),
  beyond: "9007199254740993",
  minus: "-0",
  nan: "NaN",
};

const NUMBERS = [0, -1, 1.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 63, 1e308, 5e-324];
const TEXTS = [
  "",
  " ",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "a\udfffb",
  "\u202e\ufeff\u2028",
  "é".normalize("NFD"),
  "🦆",
  "'; DROP TABLE tasks; --",
  "%00",
  "%",
  "../../../etc/passwd",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "0",
  "00000000-0000-4000-8000-00000000dead",
  "claude",
  "d1",
  "in-place",
  "full",
  "2026-01-01",
  "9999-99-99",
  "timeout",
  "completed",
];

export class Fuzz {
  constructor(readonly random: () => number) {}

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  text(): string {
    if (this.chance(0.05)) return this.of(TEXTS).repeat(1 + this.below(5_000));
    if (this.chance(0.2)) return this.of(TEXTS) + this.of(TEXTS);
    if (this.chance(0.1)) return String.fromCharCode(...Array.from({ length: 20 }, () => this.below(0x10000)));
    return this.of(TEXTS);
  }

  value(depth = 0): Json {
    switch (this.below(depth > 4 ? 6 : 9)) {
      case 0:
        return null;
      case 1:
        return this.chance(0.5);
      case 2:
        return this.of(NUMBERS);
      case 3:
        return `@@${this.of(Object.keys(RAW))}@@`;
      case 4:
      case 5:
        return this.text();
      case 6:
        return Array.from({ length: this.below(5) }, () => this.value(depth + 1));
      default:
        return this.object(depth + 1);
    }
  }

  object(depth = 0): Record<string, Json> {
    const entries = Array.from({ length: this.below(6) }, (): [string, Json] => [
      this.chance(0.8) ? this.of(FIELDS) : this.text(),
      this.value(depth),
    ]);
    return Object.fromEntries(entries);
  }

  /** A good value with some of it replaced, left out or added. */
  spoiled(good: Json, depth = 0): Json {
    if (this.chance(0.1 + depth * 0.1)) return this.value(depth);
    if (Array.isArray(good)) return good.map((one) => this.spoiled(one, depth + 1));
    if (typeof good !== "object" || good === null) return this.chance(0.2) ? this.value(depth) : good;
    const kept = Object.entries(good).filter(() => this.chance(0.93));
    return {
      ...Object.fromEntries(kept.map(([name, value]) => [name, this.spoiled(value, depth + 1)])),
      ...(this.chance(0.5) ? this.object(depth) : {}),
    };
  }

  /** The bytes of a body: mostly JSON, and mostly like the good one. */
  body(good: Json): Uint8Array<ArrayBuffer> {
    const text = written(this.chance(0.7) ? this.spoiled(good) : this.value());
    const bytes = new TextEncoder().encode(text);
    switch (this.below(12)) {
      case 0:
        return bytes.slice(0, this.below(bytes.length + 1));
      case 1:
        return bytes.map((byte) => this.chance(0.02) ? this.below(256) : byte);
      case 2:
        // Twice the same name: the last one counts, or the first; nobody may trip over it.
        return new TextEncoder().encode(text.replace(/^\{(.+)\}$/s, "{$1,$1}"));
      case 3:
        return new TextEncoder().encode(`\ufeff ${text}\n\n`);
      case 4:
        return new TextEncoder().encode(
          text.replace(/^\{/, '{"__proto__":{"polluted":1},"constructor":{"prototype":1},'),
        );
      default:
        return bytes;
    }
  }

  /** In place of an id in an address. */
  segment(good: string): string {
    if (this.chance(0.7)) return good;
    if (this.chance(0.3)) {
      return this.of(["%00", "%ff%fe", "%", "%E0%A4%A", "..%2f..", "%2e%2e", "x".repeat(3_000), "%F0%9F"]);
    }
    return encodeURIComponent(this.text().replace(/[\ud800-\udfff]/g, "?")) || "%20";
  }

  /** Behind an address. */
  query(): string {
    if (this.chance(0.7)) return "";
    const names = ["since", "limit", "status", "days", "runtime_ids", "workspace_id", "__proto__"];
    const one = () => `${this.of(names)}=${this.segment(String(this.of(NUMBERS)))}`;
    return `?${Array.from({ length: 1 + this.below(3) }, one).join("&")}`;
  }

  headers(): Record<string, string> {
    const types = [
      "application/json",
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data",
      "\u00ff/x",
    ];
    return {
      "content-type": this.of(types),
      ...(this.chance(0.2) ? { "x-client-capabilities": this.of([",,,", "a".repeat(5_000), "__proto__", "é"]) } : {}),
      ...(this.chance(0.2) ? { "if-none-match": this.of(["*", 'W/"', '"x", W/"y"', ",".repeat(500)]) } : {}),
      ...(this.chance(0.2) ? { "last-event-id": this.of(["-1", "1e9", "NaN", "9".repeat(40)]) } : {}),
      ...(this.chance(0.1) ? { "x-drover-instance": this.of(["x", "é", "a".repeat(1_000)]) } : {}),
      ...(this.chance(0.2) ? { "x-user-id": "00000000-0000-4000-8000-00000000dead", "x-actor-source": "token" } : {}),
    };
  }
}

/** JSON, with what cannot be written from a value put in by hand. */
export function written(value: Json): string {
  return (JSON.stringify(value) ?? "null").replace(/"@@(\w+)@@"/g, (whole, name) => RAW[name] ?? whole);
}
