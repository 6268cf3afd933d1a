import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Config, ConfigError } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/load-config.ts";

const folder = mkdtempSync(join(tmpdir(), "config-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function file(content: string): string {
  files += 1;
  const path = join(folder, `file-${files}`);
  writeFileSync(path, content);
  return path;
}

type Variables = Readonly<Record<string, string>>;

function issuesOf(variables: Variables): readonly string[] {
  try {
    loadConfig(variables);
  } catch (error) {
    if (error instanceof ConfigError) return error.issues;
    throw error;
  }
  throw new Error("expected a ConfigError");
}

const SECRET = "s".repeat(32);

describe("without any variable", () => {
  const config = loadConfig({});

  it("everything has its documented default", () => {
    expect(config).toEqual<Config>({
      host: "127.0.0.1",
      port: 8080,
      tls: undefined,
      corsOrigins: [],
      maxInFlight: 2_000,
      shutdownGraceMs: 30_000,
      database: {
        url: undefined,
        dataDir: ".data",
        poolSize: 10,
        preparedStatements: true,
        retentionMonths: undefined,
      },
      journalMaxBytes: 1_073_741_824,
      deadlines: {
        defaultMs: 60_000,
        maxMs: 600_000,
        streamIdleMs: 30_000,
        streamTotalMs: 600_000,
        connectMs: 5_000,
      },
      replay: { answerTtlMs: 86_400_000, maxBytes: 268_435_456, maxClaims: 2_000_000 },
      providers: [],
      aliases: new Map(),
      defaultChain: [
        { provider: "openai", model: "gpt-5-mini" },
        { provider: "deepseek", model: "deepseek-flash" },
        { provider: "huggingface", model: "meta-llama/Llama-3.3-70B-Instruct:groq" },
      ],
      disabled: new Set(),
      prices: [],
      contextWindows: new Map(),
      demo: true,
      adminKey: undefined,
      keyPepper: undefined,
      keyOutageTtlMs: 600_000,
      logLevel: "info",
      metricsToken: undefined,
      otlp: undefined,
    });
  });

  it("an empty variable counts as not set", () => {
    expect(loadConfig({ PORT: "", HOST: "  ", OPENAI_API_KEY: "", LOG_LEVEL: "" })).toEqual(config);
  });
});

describe("the configuration", () => {
  it("is frozen, down to the chains behind the aliases", () => {
    const path = file("models:\n  fast: [gpt-5-mini, deepseek-flash]\n");
    const config = loadConfig({ OPENAI_API_KEY: "sk-1", DEEPSEEK_API_KEY: "sk-2", CONFIG_FILE: path });
    const chain = config.aliases.get("fast")?.candidates;
    const parts = [config, config.deadlines, config.database, config.providers, config.defaultChain];
    for (const part of [...parts, config.providers[0], config.providers[0]?.headers, chain, chain?.[0]]) {
      expect(part).toBeDefined();
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it("takes durations in seconds, with a fraction", () => {
    const { deadlines, shutdownGraceMs } = loadConfig({
      REQUEST_TIMEOUT: "2.5",
      STREAM_IDLE_TIMEOUT: "0.1",
      PROVIDER_CONNECT_TIMEOUT: "1.001",
      SHUTDOWN_GRACE: "0",
    });
    expect(deadlines).toMatchObject({ defaultMs: 2_500, streamIdleMs: 100, connectMs: 1_001 });
    expect(shutdownGraceMs).toBe(0);
  });

  it("takes how much is kept for repeated calls, and for how long", () => {
    const { replay } = loadConfig({
      ...{ REPLAY_TTL: "0", REPLAY_MAX_BYTES: "16777216", REPLAY_MAX_REQUESTS: "5000" },
    });
    expect(replay).toEqual({ answerTtlMs: 0, maxBytes: 16_777_216, maxClaims: 5_000 });
  });

  it("shortens the default deadline to the longest that is allowed", () => {
    expect(loadConfig({ MAX_REQUEST_TIMEOUT: "20" }).deadlines).toMatchObject({
      defaultMs: 20_000,
      maxMs: 20_000,
    });
  });

  it("takes TLS and mTLS, origins, tracing and the log level", () => {
    expect(
      loadConfig({
        TLS_CERT_FILE: "/tls/cert.pem",
        TLS_KEY_FILE: "/tls/key.pem",
        TLS_CLIENT_CA_FILE: "/tls/ca.pem",
        CORS_ORIGINS: "https://app.example.com, http://localhost:3000",
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318",
        OTEL_TRACES_SAMPLER_ARG: "0.25",
        LOG_LEVEL: "debug",
      }),
    ).toMatchObject({
      tls: { certFile: "/tls/cert.pem", keyFile: "/tls/key.pem", clientCaFile: "/tls/ca.pem" },
      corsOrigins: ["https://app.example.com", "http://localhost:3000"],
      otlp: { endpoint: "http://collector:4318", serviceName: "llm-gateway", sampleRatio: 0.25 },
      logLevel: "debug",
    });
  });
});

describe("providers", () => {
  it("need nothing but a key; then there is no demo", () => {
    const config = loadConfig({ DEEPSEEK_API_KEY: "sk-deep" });
    expect(config.demo).toBe(false);
    expect(config.providers).toEqual([
      {
        name: "deepseek",
        profile: "deepseek",
        baseUrl: "https://api.deepseek.com",
        apiKey: "sk-deep",
        headers: {},
        timeoutMs: 30_000,
      },
    ]);
    expect(config.defaultChain).toEqual([{ provider: "deepseek", model: "deepseek-flash" }]);
  });

  it("take base URLs, organisations and PROVIDER_TIMEOUT from the environment", () => {
    const { providers } = loadConfig({
      OPENAI_API_KEY: "sk-1",
      OPENAI_BASE_URL: "http://127.0.0.1:9/v1",
      OPENAI_ORGANIZATION: "org-1",
      OPENAI_PROJECT: "proj-1",
      HUGGINGFACE_API_KEY: "hf_1",
      HUGGINGFACE_BILL_TO: "team",
      PROVIDER_TIMEOUT: "12",
    });
    expect(providers).toMatchObject([
      {
        baseUrl: "http://127.0.0.1:9/v1",
        headers: { "openai-organization": "org-1", "openai-project": "proj-1" },
        timeoutMs: 12_000,
      },
      { headers: { "x-hf-bill-to": "team" }, timeoutMs: 12_000 },
    ]);
  });

  it.each<[string, string | undefined]>([
    ["anthropic", "https://api.anthropic.com/v1"],
    ["gemini", "https://generativelanguage.googleapis.com/v1beta"],
    ["mistral", "https://api.mistral.ai/v1"],
    ["groq", "https://api.groq.com/openai/v1"],
    ["together", "https://api.together.ai/v1"],
    ["openrouter", "https://openrouter.ai/api/v1"],
    ["xai", "https://api.x.ai/v1"],
    ["fireworks", "https://api.fireworks.ai/inference/v1"],
  ])("%s is configured by its key alone, and is no part of the default chain", (name, baseUrl) => {
    const { providers, defaultChain } = loadConfig({ [`${name.toUpperCase()}_API_KEY`]: "k-1" });
    expect(providers).toEqual([
      { name, profile: name, baseUrl, apiKey: "k-1", headers: {}, timeoutMs: 30_000 },
    ]);
    expect(defaultChain).toEqual([]);
  });

  it("whose host only the operator knows need a base URL", () => {
    const key = { AZURE_OPENAI_API_KEY: "k-1" };
    expect(issuesOf(key)).toEqual(["AZURE_OPENAI_BASE_URL is not set"]);
    expect(issuesOf({ ...key, AZURE_OPENAI_BASE_URL: "ftp://x" })).toEqual([
      "AZURE_OPENAI_BASE_URL must be a URL that starts with https:// or http://",
    ]);
    const baseUrl = "https://mine.openai.azure.com/openai/v1";
    expect(loadConfig({ ...key, AZURE_OPENAI_BASE_URL: baseUrl }).providers).toMatchObject([
      { name: "azure-openai", baseUrl, apiKey: "k-1" },
    ]);
  });

  it.each(["ollama", "vllm"])("%s needs no key, only its base URL", (name) => {
    const url = { [`${name.toUpperCase()}_BASE_URL`]: "http://127.0.0.1:11434/v1" };
    const [provider] = loadConfig(url).providers;
    expect(provider).toMatchObject({ name, baseUrl: "http://127.0.0.1:11434/v1", apiKey: undefined });
    const [withKey] = loadConfig({ ...url, [`${name.toUpperCase()}_API_KEY`]: "k-1" }).providers;
    expect(withKey?.apiKey).toBe("k-1");
  });

  it("Bedrock is configured by its region, with its own key or with AWS credentials", () => {
    const region = { BEDROCK_REGION: "eu-central-1" };
    const aws = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "aws-secret" };
    const bedrock = {
      name: "bedrock",
      profile: "bedrock",
      baseUrl: "https://bedrock-runtime.eu-central-1.amazonaws.com",
      headers: {},
      timeoutMs: 30_000,
    };
    expect(loadConfig({ ...region, BEDROCK_API_KEY: "k-1", ...aws }).providers).toEqual([
      { ...bedrock, apiKey: "k-1", aws: undefined },
    ]);
    const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "aws-secret", region: "eu-central-1" };
    expect(loadConfig({ ...region, ...aws }).providers).toEqual([
      { ...bedrock, apiKey: undefined, aws: { ...credentials, sessionToken: undefined } },
    ]);
    const temporary = {
      ...region,
      ...aws,
      AWS_SESSION_TOKEN: "token",
      BEDROCK_BASE_URL: "https://vpce.example",
    };
    expect(loadConfig(temporary).providers).toMatchObject([
      { baseUrl: "https://vpce.example", aws: { ...credentials, sessionToken: "token" } },
    ]);
    // They are often there for something else.
    expect(loadConfig(aws).demo).toBe(true);
  });

  it.each([
    [{ BEDROCK_API_KEY: "k-1" }, "BEDROCK_REGION is not set"],
    [{ BEDROCK_REGION: "evil.example/x" }, "BEDROCK_REGION must be an AWS region such as eu-central-1"],
    [
      { BEDROCK_REGION: "eu-central-1", AWS_ACCESS_KEY_ID: "AKIDEXAMPLE" },
      "BEDROCK_REGION: Bedrock needs its key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ],
  ])("Bedrock's environment %j is a mistake", (variables, issue) => {
    expect(issuesOf(variables)).toEqual([issue]);
  });

  it("of the file take their key from the variable that they name, and win over those of the environment", () => {
    const path = file(
      [
        "providers:",
        "  openai:",
        "    profile: openai",
        "    base_url: https://eu.example.com/v1",
        "    api_key_env: EU_KEY",
        "    headers: { x-team: search }",
        "    timeout: 2.5",
      ].join("\n"),
    );
    const config = loadConfig({ CONFIG_FILE: path, EU_KEY_FILE: file("sk-eu\n"), OPENAI_API_KEY: "sk-env" });
    expect(config.providers).toEqual([
      {
        name: "openai",
        profile: "openai",
        baseUrl: "https://eu.example.com/v1",
        apiKey: "sk-eu",
        headers: { "x-team": "search" },
        timeoutMs: 2_500,
      },
    ]);
  });
});

describe("secrets", () => {
  it("can each come from a file, whose surrounding white space does not count", () => {
    const path = file(`\n  ${SECRET}  \n`);
    const config = loadConfig({
      OPENAI_API_KEY_FILE: file("sk-file\n"),
      ADMIN_KEY_FILE: path,
      KEY_PEPPER_FILE: path,
      METRICS_TOKEN_FILE: path,
      DATABASE_URL_FILE: file("postgresql://db/gateway"),
    });
    expect(config).toMatchObject({ adminKey: SECRET, keyPepper: SECRET, metricsToken: SECRET });
    expect(config.database.url).toBe("postgresql://db/gateway");
    expect(config.providers[0]?.apiKey).toBe("sk-file");
  });

  it("must not be given twice, be empty, unreadable or too short", () => {
    expect(issuesOf({ ADMIN_KEY: SECRET, ADMIN_KEY_FILE: file(SECRET) })).toEqual([
      "ADMIN_KEY and ADMIN_KEY_FILE are both set",
    ]);
    expect(issuesOf({ ADMIN_KEY_FILE: file(" \n") })).toEqual(["ADMIN_KEY_FILE: the file is empty"]);
    expect(issuesOf({ ADMIN_KEY_FILE: join(folder, "missing") })).toEqual([
      expect.stringMatching(/^ADMIN_KEY_FILE: cannot read the file \(ENOENT/),
    ]);
    expect(issuesOf({ ADMIN_KEY: "short", KEY_PEPPER: "short", METRICS_TOKEN: "short" })).toEqual([
      "ADMIN_KEY must have at least 32 characters",
      "KEY_PEPPER must have at least 32 characters",
      "METRICS_TOKEN must have at least 16 characters",
    ]);
  });

  it("never stand in the message of a mistake", () => {
    const message = issuesOf({
      DATABASE_URL: "mysql://user:hunter2@db/x",
      ADMIN_KEY: "hunter2",
      OPENAI_API_KEY: "hunter2",
      OPENAI_API_KEY_FILE: file("hunter2"),
      OPENAI_BASE_URL: "ftp://user:hunter2@host",
    }).join("\n");
    expect(message).not.toContain("hunter2");
  });

  it("include a pepper that replicas share, once there is a shared database", () => {
    expect(issuesOf({ DATABASE_URL: "postgres://db/gateway" })).toEqual([
      expect.stringContaining("KEY_PEPPER is required"),
    ]);
    expect(loadConfig({ DATABASE_URL: "postgres://db/gateway", KEY_PEPPER: SECRET }).keyPepper).toBe(SECRET);
  });
});

describe("mistakes", () => {
  it("are told all at once, each with its name", () => {
    const issues = issuesOf({
      PORT: "70000",
      MAX_IN_FLIGHT: "many",
      REQUEST_TIMEOUT: "-1",
      PROVIDER_TIMEOUT: "0",
      LOG_LEVEL: "loud",
      CORS_ORIGINS: "https://app.example.com/path,https://fine.example.com",
      TLS_CERT_FILE: "/tls/cert.pem",
      DATABASE_URL: "mysql://db",
      OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318",
      OTEL_TRACES_SAMPLER_ARG: "1.5",
      OPENAI_BASE_URL: "not a url",
      CONFIG_FILE: file("models: { fast: [] }"),
    });
    const names = [
      ...["PORT", "MAX_IN_FLIGHT", "REQUEST_TIMEOUT", "PROVIDER_TIMEOUT", "LOG_LEVEL", "CORS_ORIGINS", "TLS"],
      ...["DATABASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG", "OPENAI_BASE_URL"],
      ...["CONFIG_FILE: models.fast", "KEY_PEPPER"],
    ];
    for (const name of names) expect(issues, name).toContainEqual(expect.stringContaining(name));
    expect(issues).toHaveLength(names.length);
  });

  it("are counted and listed in the message of the error", () => {
    const error = new ConfigError(["PORT is wrong", "HOST is wrong"]);
    expect(error.message).toBe("the configuration has 2 mistake(s):\n  - PORT is wrong\n  - HOST is wrong");
  });

  it.each([
    ["PORT", "8080.5"],
    ["PORT", "0x10"],
    ["PORT", "1e3"],
    ["DATABASE_POOL_SIZE", "1"],
    ["RETENTION_MONTHS", "1"],
    ["RETENTION_MONTHS", "0"],
    ["RETENTION_MONTHS", "forever"],
    ["PROVIDER_TIMEOUT", "30s"],
    ["PROVIDER_TIMEOUT", "1.0001"],
    ["STREAM_TIMEOUT", "Infinity"],
    ["REPLAY_TTL", "604801"],
    ["REPLAY_MAX_BYTES", "1"],
    ["REPLAY_MAX_REQUESTS", "10"],
    ["OTEL_TRACES_SAMPLER_ARG", ".5"],
    ["CORS_ORIGINS", "app.example.com"],
    ["CORS_ORIGINS", "https://app.example.com/"],
    ["TLS_CLIENT_CA_FILE", "/ca.pem"],
    ["OPENAI_BASE_URL", "file:///etc/passwd"],
  ])("%s=%s is one", (name, value) => {
    expect(issuesOf({ [name]: value })).toHaveLength(1);
  });
});
