/** What each real agent CLI needs in its HOME and its environment so that its model is the fake one and nothing else is asked. */
import { join } from "@std/path";
import { rowOf } from "../../lib/agents/registry.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import { toolsDir } from "../../scripts/project.ts";
import type { RealCliName } from "./install.ts";

/** Long and unlikely: one CLI blots its key out of everything it prints. */
export const FAKE_KEY = "fake-key-that-opens-nothing";

/** Where the model is, and how often the CLI tries again, if it can be told; in tests each failure is the last one. */
export interface FakeModel {
  readonly url: string;
  readonly retries?: number;
}

export interface RealSetup {
  readonly cli: RealCliName;
  /** Of the variables only what a user of such a provider sets. */
  readonly env: (model: FakeModel) => Readonly<Record<string, string>>;
  /** Below HOME. */
  readonly files?: (model: FakeModel) => Readonly<Record<string, string>>;
  /** Scenarios that fail soon: without a way to turn its retries off, a CLI may take minutes over some errors. */
  readonly failures: readonly FailingScenario[];
  /** Its own retries of these take a minute and more: only with `DROVER_TEST_SLOW=1`. */
  readonly slow?: readonly FailingScenario[];
  /** Of these it does not say why, so that nobody can. */
  readonly silentAbout?: readonly FailingScenario[];
  /** It tells the tokens of the last request of a turn, not of all. */
  readonly countsLastOnly?: true;
}

/** What a task ends in when the provider answers so. */
export const FAILING = {
  http401: { reason: "agent_error.provider_auth_or_access", says: /401|authentication|unauthorized|API key/i },
  http429: { reason: "agent_error.provider_capacity_or_rate_limit", says: /429|rate.?limit/i },
  http500: { reason: "agent_error.provider_server_error", says: /500|server|high demand/i },
} as const satisfies Record<string, { reason: FailureReason; says: RegExp }>;

export type FailingScenario = keyof typeof FAILING;

const ALL = Object.keys(FAILING) as FailingScenario[];

const CODEX_CONFIG = ({ url, retries = 0 }: FakeModel) =>
  `model = "gpt-5.5"
model_provider = "fake"
check_for_update_on_startup = false

[analytics]
enabled = false

[features]
plugins = false

[model_providers.fake]
name = "fake"
base_url = "${url}/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
request_max_retries = ${retries}
stream_max_retries = ${retries}
`;

const CLAUDE_ENV = ({ url, retries = 0 }: FakeModel) => ({
  ANTHROPIC_BASE_URL: url,
  ANTHROPIC_API_KEY: FAKE_KEY,
  // Even over a wrong key it takes minutes else.
  CLAUDE_CODE_MAX_RETRIES: String(retries),
});

export const SETUPS = {
  claude: { cli: "claude", env: CLAUDE_ENV, failures: ALL },
  codex: {
    cli: "codex",
    env: () => ({ OPENAI_API_KEY: FAKE_KEY }),
    files: (model) => ({ ".codex/config.toml": CODEX_CONFIG(model) }),
    failures: ALL,
  },
  gemini: {
    cli: "gemini",
    env: ({ url }) => ({ GEMINI_API_KEY: FAKE_KEY, GOOGLE_GEMINI_BASE_URL: url }),
    files: ({ retries = 0 }) => ({
      ".gemini/settings.json": JSON.stringify({
        security: { auth: { selectedType: "gemini-api-key" } },
        telemetry: { enabled: false },
        privacy: { usageStatisticsEnabled: false },
        general: { enableAutoUpdate: false, maxAttempts: retries + 1 },
      }),
    }),
    failures: ALL,
  },
  opencode: {
    cli: "opencode",
    env: () => ({ OPENCODE_DISABLE_MODELS_FETCH: "1" }),
    files: ({ url }) => ({
      ".config/opencode/opencode.json": JSON.stringify({
        autoupdate: false,
        share: "disabled",
        model: "fake/fake-model",
        small_model: "fake/fake-model",
        provider: {
          fake: {
            npm: "@ai-sdk/openai-compatible",
            name: "Fake",
            options: { baseURL: `${url}/v1`, apiKey: FAKE_KEY },
            models: { "fake-model": { name: "Fake", limit: { context: 128_000, output: 8192 } } },
          },
        },
      }),
    }),
    failures: ["http401"],
    slow: ["http429", "http500"],
    countsLastOnly: true,
  },
  qwen: {
    cli: "qwen",
    env: ({ url }) => ({ OPENAI_API_KEY: FAKE_KEY, OPENAI_BASE_URL: `${url}/v1`, OPENAI_MODEL: "fake-model" }),
    files: () => ({
      ".qwen/settings.json": JSON.stringify({
        security: { auth: { selectedType: "openai" } },
        privacy: { usageStatisticsEnabled: false },
        general: { enableAutoUpdate: false },
        // Else it asks the model once more after each turn, with the same prompt.
        memory: { enableManagedAutoMemory: false },
      }),
    }),
    failures: ["http401"],
    slow: ["http500"],
  },
  copilot: {
    cli: "copilot",
    env: ({ url }) => ({
      COPILOT_PROVIDER_BASE_URL: `${url}/v1`,
      COPILOT_PROVIDER_TYPE: "openai",
      COPILOT_PROVIDER_API_KEY: FAKE_KEY,
      COPILOT_MODEL: "fake-model",
      COPILOT_OFFLINE: "true",
      // It unpacks 235 MB, once for all homes.
      COPILOT_CACHE_HOME: join(toolsDir(), "real", "copilot-cache"),
    }),
    failures: ["http401", "http429"],
    slow: ["http500"],
  },
  pi: {
    cli: "pi",
    env: () => ({ PI_OFFLINE: "1" }),
    files: ({ url, retries = 0 }) => ({
      ".pi/agent/models.json": JSON.stringify({
        providers: {
          fake: {
            baseUrl: `${url}/v1`,
            api: "openai-completions",
            apiKey: FAKE_KEY,
            models: [{
              id: "fake-model",
              name: "Fake",
              reasoning: false,
              input: ["text"],
              contextWindow: 128_000,
              maxTokens: 8192,
              cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
            }],
          },
        },
      }),
      ".pi/agent/settings.json": JSON.stringify({
        defaultProvider: "fake",
        defaultModel: "fake-model",
        retry: { enabled: retries > 0 },
      }),
    }),
    failures: ALL,
  },
  kimi: {
    cli: "kimi",
    env: () => ({}),
    files: ({ url, retries = 0 }) => ({
      ".kimi-code/config.toml": `default_model = "fake"
telemetry = false

[providers.fake]
type = "openai"
base_url = "${url}/v1"
api_key = "${FAKE_KEY}"

[models.fake]
provider = "fake"
model = "fake-model"
max_context_size = 128000

[loop_control]
max_attempts_per_step = ${retries + 1}
`,
    }),
    failures: ALL,
    silentAbout: ["http429", "http500"],
  },
  "claude-agent-acp": {
    cli: "claude-agent-acp",
    env: CLAUDE_ENV,
    failures: ["http401"],
    slow: ["http429", "http500"],
  },
  "codex-acp": {
    cli: "codex-acp",
    env: () => ({ OPENAI_API_KEY: FAKE_KEY }),
    files: (model) => ({
      ".codex/config.toml": `sandbox_mode = "danger-full-access"\n${CODEX_CONFIG(model)}`,
    }),
    failures: ["http401"],
    // Of a failure of the provider it says that demand is high, as it does of a limit.
    slow: ["http429"],
  },
} as const satisfies Record<string, RealSetup>;

/** As the table of agent CLIs calls them. */
export type RealProvider = keyof typeof SETUPS;

export const REAL_PROVIDERS = (Object.keys(SETUPS) as RealProvider[]).filter((name) => rowOf(name));
