import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/load-config.ts";
import { orderedRoute } from "../../../src/core/route.ts";

const folder = mkdtempSync(join(tmpdir(), "config-file-"));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, "gateway.yaml");

function load(yaml: string, variables: Readonly<Record<string, string>> = {}) {
  writeFileSync(path, yaml);
  return loadConfig({ CONFIG_FILE: path, ...variables });
}

function issuesOf(yaml: string, variables: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    load(yaml, variables);
  } catch (error) {
    if (error instanceof ConfigError) return error.issues;
    throw error;
  }
  throw new Error("expected a ConfigError");
}

const KEYS = { OPENAI_API_KEY: "sk-1", HUGGINGFACE_API_KEY: "hf_1" };

describe("the file", () => {
  it("may be empty", () => {
    expect(load("").demo).toBe(true);
    expect(load("# nothing but a comment\n").aliases.size).toBe(0);
  });

  it("sets aliases, the default chain and price overrides", () => {
    const config = load(
      [
        "models:",
        "  fast: [gpt-5-mini, org/name:groq]",
        "  huggingface/smart: [openai/gpt-5]",
        "default_chain: [org/name]",
        "prices:",
        "  - { provider: openai, model: gpt-5, input: '1.25' }",
      ].join("\n"),
      KEYS,
    );
    expect(Object.fromEntries(config.aliases)).toEqual({
      fast: orderedRoute([
        { provider: "openai", model: "gpt-5-mini" },
        { provider: "huggingface", model: "org/name:groq" },
      ]),
      "huggingface/smart": orderedRoute([{ provider: "openai", model: "gpt-5" }]),
    });
    expect(config.defaultChain).toEqual([{ provider: "huggingface", model: "org/name" }]);
    expect(config.prices).toEqual([{ provider: "openai", model: "gpt-5", input: "1.25" }]);
  });

  it("can switch the default chain off", () => {
    expect(load("default_chain: []", KEYS).defaultChain).toEqual([]);
  });

  it("sets routes whose order depends on the request, and what is disabled", () => {
    const config = load(
      [
        "models:",
        "  canary:",
        "    strategy: weighted",
        "    sticky: tag:team",
        "    candidates: [{ model: gpt-5-mini, weight: 95 }, { model: gpt-5, weight: 5 }, org/name]",
        "  quick: { strategy: fastest, candidates: [gpt-5-mini, org/name] }",
        "disabled: [huggingface, gpt-5-nano]",
      ].join("\n"),
      KEYS,
    );
    expect(config.aliases.get("canary")?.strategy).toEqual({
      kind: "weighted",
      weights: [95, 5, 1],
      stickyBy: { kind: "tag", name: "team" },
    });
    expect(config.aliases.get("canary")?.candidates.map(({ model }) => model)).toEqual([
      "gpt-5-mini",
      "gpt-5",
      "org/name",
    ]);
    expect(config.aliases.get("quick")?.strategy).toEqual({ kind: "fastest" });
    expect([...config.disabled]).toEqual(["huggingface", "openai/gpt-5-nano"]);
  });

  it.each([
    [
      "{ strategy: fastest, sticky: api_key, candidates: [gpt-5] }",
      "weight and sticky are for the strategy weighted",
    ],
    [
      "{ strategy: ordered, candidates: [{ model: gpt-5, weight: 2 }] }",
      "weight and sticky are for the strategy weighted",
    ],
    [
      "{ strategy: weighted, candidates: [{ model: gpt-5, weight: 0 }] }",
      "at least one weight must be above 0",
    ],
    ["{ strategy: weighted, candidates: [gpt-5, openai/gpt-5] }", "a candidate is named twice"],
    [
      "{ strategy: ordered, candidates: [gpt-5], hedge_after_ms: 300 }",
      "hedge_after_ms and recovery need a second candidate",
    ],
    [
      "{ strategy: ordered, candidates: [gpt-5], recovery: restart }",
      "hedge_after_ms and recovery need a second candidate",
    ],
  ])("refuses the route %s", (route, mistake) => {
    expect(issuesOf(`models: { wrong: ${route} }`, KEYS)).toEqual([`CONFIG_FILE: models.wrong: ${mistake}`]);
  });

  it("sets whether the candidates of a route are hedged and streams recover; a plain chain does neither", () => {
    const candidates = "candidates: [gpt-5-mini, org/name]";
    const { aliases } = load(
      [
        "models:",
        `  both: { strategy: weighted, ${candidates}, hedge_after_ms: 300, recovery: restart }`,
        `  hedged: { strategy: ordered, ${candidates}, hedge_after_ms: 10 }`,
        `  alone: { strategy: fastest, candidates: [gpt-5-mini], recovery: "off" }`,
        "  plain: [gpt-5-mini, org/name]",
      ].join("\n"),
      KEYS,
    );
    expect(aliases.get("both")?.policy).toEqual({ hedgeAfterMs: 300, recovery: "restart" });
    expect(aliases.get("hedged")?.policy).toEqual({ hedgeAfterMs: 10, recovery: "off" });
    expect(aliases.get("alone")?.policy).toEqual({ hedgeAfterMs: undefined, recovery: "off" });
    expect(aliases.get("plain")?.policy).toBeUndefined();
  });

  it.each(["hedge_after_ms: 9", "hedge_after_ms: 600001", "hedge_after_ms: 10.5", "recovery: resume"])(
    "refuses a route with %s",
    (setting) => {
      const yaml = `models: { wrong: { strategy: ordered, candidates: [gpt-5-mini, org/name], ${setting} } }`;
      expect(issuesOf(yaml, KEYS)).toEqual([expect.stringMatching(/^CONFIG_FILE: models\.wrong/)]);
    },
  );

  it("refuses to disable what is not there", () => {
    expect(issuesOf("disabled: [deepseek]", KEYS)).toEqual([
      'CONFIG_FILE: disabled: no provider is configured for "deepseek"',
    ]);
  });

  it("states how much models take, by any name that they have", () => {
    const config = load(
      "context_windows: { openai/gpt-5: 400000, gpt-5-nano: 32000, org/name:groq: 8192 }",
      KEYS,
    );
    expect(Object.fromEntries(config.contextWindows)).toEqual({
      "openai/gpt-5": 400_000,
      "openai/gpt-5-nano": 32_000,
      "huggingface/org/name:groq": 8_192,
    });
  });

  it.each(["0", "1.5", "'many'", "2000000000", "-1"])("refuses a context window of %s", (tokens) => {
    const issues = issuesOf(`context_windows: { openai/gpt-5: ${tokens} }`, KEYS);
    expect(issues).toEqual([expect.stringMatching(/^CONFIG_FILE: context_windows\.openai\/gpt-5: /)]);
  });

  it("refuses a context window of a model that no provider has", () => {
    expect(issuesOf("context_windows: { no-such-model: 1000 }", KEYS)).toEqual([
      'CONFIG_FILE: context_windows: no provider is configured for "no-such-model"',
    ]);
  });

  it("names models of the demo's providers while there is no other", () => {
    const config = load("models: { fast: [deepseek-flash] }");
    expect(config.demo).toBe(true);
    expect(config.aliases.get("fast")).toEqual(
      orderedRoute([{ provider: "deepseek", model: "deepseek-flash" }]),
    );
  });

  it("with a provider whose key is missing is a mistake, and no reason for the demo", () => {
    const yaml =
      "providers: { eu: { profile: openai, base_url: 'https://eu.example.com', api_key_env: EU_KEY } }";
    expect(issuesOf(yaml)).toEqual(["CONFIG_FILE: providers.eu: EU_KEY is not set"]);
    expect(load(yaml, { EU_KEY: "sk-eu" }).demo).toBe(false);
  });

  it("may say what a provider bills for cancelled streams, also of one of the environment", () => {
    const yaml = [
      "providers:",
      "  openai:",
      "    profile: openai",
      "    base_url: https://eu.example.com",
      "    api_key_env: OPENAI_API_KEY",
      "    cancelled_streams: drain",
    ].join("\n");
    const { providers } = load(yaml, KEYS);
    const policies = new Map(providers.map((provider) => [provider.name, provider.cancelledStreams]));
    expect(policies.get("openai")).toBe("drain");
    expect(policies.get("deepseek")).toBeUndefined();
  });

  it("takes what it does not say of a provider from the provider's type", () => {
    const { providers } = load(
      [
        "providers:",
        "  claude: { type: anthropic }",
        "  local: { type: ollama, base_url: 'http://127.0.0.1:11434/v1' }",
        "  aws-eu: { type: bedrock, region: eu-central-1, api_key_env: OWN_KEY }",
        "  guarded: { type: vllm, base_url: 'http://vllm:8000/v1', api_key_env: OWN_KEY }",
      ].join("\n"),
      { ANTHROPIC_API_KEY: "sk-ant", OWN_KEY: "own" },
    );
    const named = new Map(
      providers.map(({ name, profile, baseUrl, apiKey }) => [name, [profile, baseUrl, apiKey]]),
    );
    expect(named.get("claude")).toEqual(["anthropic", "https://api.anthropic.com/v1", "sk-ant"]);
    expect(named.get("local")).toEqual(["ollama", "http://127.0.0.1:11434/v1", undefined]);
    expect(named.get("aws-eu")).toEqual([
      "bedrock",
      "https://bedrock-runtime.eu-central-1.amazonaws.com",
      "own",
    ]);
    expect(named.get("guarded")).toEqual(["vllm", "http://vllm:8000/v1", "own"]);
  });

  it.each([
    [
      "{ base_url: 'https://x.example' }",
      "CONFIG_FILE: providers.p: exactly one of type and profile is required",
    ],
    [
      "{ type: openai, profile: openai }",
      "CONFIG_FILE: providers.p: exactly one of type and profile is required",
    ],
    ["{ type: azure-openai }", "CONFIG_FILE: providers.p: base_url is required with the type azure-openai"],
    ["{ type: bedrock }", "CONFIG_FILE: providers.p: region is required with the type bedrock"],
    [
      "{ type: bedrock, region: eu-central-1 }",
      "CONFIG_FILE: providers.p: Bedrock needs its key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ],
    [
      "{ type: openai, region: eu-central-1 }",
      "CONFIG_FILE: providers.p: only a provider of type bedrock has a region",
    ],
    [
      "{ type: mistral, base_url: 'https://elsewhere.example/v1' }",
      "CONFIG_FILE: providers.p: api_key_env is required with a base_url of one's own",
    ],
    ["{ type: mistral }", "CONFIG_FILE: providers.p: MISTRAL_API_KEY is not set"],
    [
      "{ type: ollama, base_url: 'http://x:1/v1', api_key_env: OWN_KEY }",
      "CONFIG_FILE: providers.p: OWN_KEY is not set",
    ],
  ])("with a provider %s is a mistake", (entry, issue) => {
    expect(issuesOf(`providers: { p: ${entry} }`)).toEqual([issue]);
  });

  it("says once what is wrong with a provider's key", () => {
    const yaml =
      "providers: { eu: { profile: openai, base_url: 'https://eu.example.com', api_key_env: EU_KEY } }";
    expect(issuesOf(yaml, { EU_KEY: "sk-eu", EU_KEY_FILE: path })).toEqual([
      "EU_KEY and EU_KEY_FILE are both set",
    ]);
  });
});

describe("a mistake in the file", () => {
  it.each([
    ["models: { fast: [gpt-5-mini, claude-opus] }", /^CONFIG_FILE: models\.fast: .*"claude-opus"/],
    ["default_chain: [deepseek-flash]", /^CONFIG_FILE: default_chain: .*"deepseek-flash"/],
    ["models: { fast: ['not a model'] }", /^CONFIG_FILE: models\.fast\.0: is not a model name/],
    ["models: { 'a b': [gpt-5-mini] }", /^CONFIG_FILE: models\.a b: is not a model name/],
    ["modles: {}", /^CONFIG_FILE: Unrecognized key/],
    ["[1, 2]", /^CONFIG_FILE: Invalid input/],
    ["providers: { Bad Name: {} }", /^CONFIG_FILE: providers\.Bad Name: must match/],
    ["prices: 12", /^CONFIG_FILE: prices: /],
  ])("%s is told with its path", (yaml, expected) => {
    expect(issuesOf(yaml, KEYS)).toContainEqual(expect.stringMatching(expected));
  });

  it("is told for each field of a provider", () => {
    const yaml = [
      "providers:",
      "  eu:",
      "    profile: azure",
      "    base_url: ftp://eu.example.com",
      "    api_key_env: sk-123",
      "    api_key: sk-123",
      "    timeout: 0",
      "    cancelled_streams: sometimes",
    ].join("\n");
    const issues = issuesOf(yaml);
    for (const field of ["profile", "base_url", "api_key_env", "timeout", "cancelled_streams"]) {
      expect(issues).toContainEqual(expect.stringContaining(`CONFIG_FILE: providers.eu.${field}: `));
    }
    expect(issues).toContainEqual(expect.stringMatching(/^CONFIG_FILE: providers\.eu: .*api_key/));
    expect(issues.join()).not.toContain("sk-123");
  });

  it("is a file that is not YAML, not there, or far too large", () => {
    expect(issuesOf("models: [unclosed")).toEqual([expect.stringMatching(/^CONFIG_FILE: /)]);
    expect(issuesOf(`# ${"x".repeat(1024 * 1024)}`)).toEqual([
      expect.stringMatching(/^CONFIG_FILE: more than 1048576 bytes/),
    ]);
    expect(() => loadConfig({ CONFIG_FILE: join(folder, "missing.yaml") })).toThrow(/CONFIG_FILE: ENOENT/);
  });

  it("is YAML that grows without end", () => {
    const levels = "abcdefghij".split("");
    const bomb = levels.map((name, index) => {
      const before = levels[index - 1];
      return `${name}: &${name} [${before ? Array(20).fill(`*${before}`).join(",") : "1"}]`;
    });
    expect(issuesOf(bomb.join("\n"))).toEqual([expect.stringMatching(/^CONFIG_FILE: .*alias/i)]);
  });

  it("does not hide the mistakes of the environment", () => {
    expect(issuesOf("modles: {}", { PORT: "x" })).toHaveLength(2);
  });
});
