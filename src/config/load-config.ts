import {
  type Config,
  ConfigError,
  type LogLevel,
  type OtlpConfig,
  type ProviderConfig,
  type TlsFiles,
} from "./config.ts";
import { readConfigFile } from "./config-file.ts";
import { DEFAULT_MODELS, readProviders } from "./provider-config.ts";
import { EnvironmentReader } from "./read-environment.ts";
import { readRouting } from "./routing-config.ts";

const LOG_LEVELS: readonly LogLevel[] = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];
const MIN_ADMIN_KEY_LENGTH = 32;
const MIN_PEPPER_LENGTH = 32;
const DAY_SECONDS = 86_400;
/** A century. */
const MAX_RETENTION_MONTHS = 1_200;
const MIB = 1_024 ** 2;

/**
 * Reads the environment and the optional file into one frozen object.
 * @throws ConfigError with every mistake
 */
export function loadConfig(variables: Readonly<Record<string, string | undefined>> = process.env): Config {
  const environment = new EnvironmentReader(variables);
  const filePath = environment.text("CONFIG_FILE");
  const file = filePath === undefined ? {} : readConfigFile(filePath, environment.issues);
  const providers = readProviders(environment, file);
  const demo = providers.length === 0 && Object.keys(file.providers ?? {}).length === 0;
  const config: Config = {
    ...readServer(environment),
    database: readDatabase(environment),
    journalMaxBytes:
      environment.integer("JOURNAL_MAX_MIB", { fallback: 1_024, min: 1, max: 1_000_000 }) * MIB,
    deadlines: readDeadlines(environment),
    replay: readReplay(environment),
    providers,
    ...readRouting(
      file,
      demo ? DEFAULT_MODELS.map(({ provider }) => provider) : names(providers),
      environment.issues,
    ),
    prices: file.prices ?? [],
    demo,
    adminKey: environment.secret("ADMIN_KEY", MIN_ADMIN_KEY_LENGTH),
    keyPepper: environment.secret("KEY_PEPPER", MIN_PEPPER_LENGTH),
    keyOutageTtlMs: environment.secondsAsMs("KEY_OUTAGE_TTL", { fallback: 600, min: 0, max: DAY_SECONDS }),
    logLevel: environment.oneOf("LOG_LEVEL", LOG_LEVELS, "info"),
    metricsToken: environment.secret("METRICS_TOKEN", 16),
    otlp: readOtlp(environment),
  };
  if (config.database.url !== undefined && config.keyPepper === undefined) {
    environment.issues.push("KEY_PEPPER is required with DATABASE_URL, since all replicas must share it");
  }
  if (environment.issues.length > 0) throw new ConfigError(environment.issues);
  return deepFreeze(config);
}

const names = (providers: readonly ProviderConfig[]) => providers.map(({ name }) => name);

function readServer(environment: EnvironmentReader) {
  return {
    host: environment.text("HOST") ?? "127.0.0.1",
    port: environment.integer("PORT", { fallback: 8080, min: 0, max: 65_535 }),
    tls: readTls(environment),
    corsOrigins: readOrigins(environment),
    maxInFlight: environment.integer("MAX_IN_FLIGHT", { fallback: 2_000, min: 1, max: 1_000_000 }),
    shutdownGraceMs: environment.secondsAsMs("SHUTDOWN_GRACE", { fallback: 30, min: 0, max: 3_600 }),
  };
}

function readTls(environment: EnvironmentReader): TlsFiles | undefined {
  const certFile = environment.text("TLS_CERT_FILE");
  const keyFile = environment.text("TLS_KEY_FILE");
  const clientCaFile = environment.text("TLS_CLIENT_CA_FILE");
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile, clientCaFile };
  if (certFile !== undefined || keyFile !== undefined || clientCaFile !== undefined) {
    environment.issues.push("TLS needs both TLS_CERT_FILE and TLS_KEY_FILE");
  }
  return undefined;
}

function readOrigins(environment: EnvironmentReader): readonly string[] {
  const origins = environment.list("CORS_ORIGINS");
  for (const origin of origins) {
    if (origin !== "*" && URL.parse(origin)?.origin !== origin) {
      environment.issues.push(
        `CORS_ORIGINS: ${JSON.stringify(origin)} is not an origin such as https://app.example.com`,
      );
    }
  }
  return origins;
}

function readDatabase(environment: EnvironmentReader) {
  const url = environment.secret("DATABASE_URL");
  if (url !== undefined && !/^postgres(ql)?:\/\//.test(url)) {
    environment.issues.push("DATABASE_URL must start with postgres:// or postgresql://");
  }
  return {
    url,
    dataDir: environment.text("DATA_DIR") ?? ".data",
    poolSize: environment.integer("DATABASE_POOL_SIZE", { fallback: 10, min: 2, max: 1_000 }),
    preparedStatements: environment.oneOf("DATABASE_PREPARED_STATEMENTS", ["on", "off"], "on") === "on",
    retentionMonths: environment.optionalInteger("RETENTION_MONTHS", { min: 2, max: MAX_RETENTION_MONTHS }),
  };
}

function readDeadlines(environment: EnvironmentReader) {
  const maxMs = environment.secondsAsMs("MAX_REQUEST_TIMEOUT", { fallback: 600, min: 1, max: DAY_SECONDS });
  return {
    defaultMs: Math.min(
      maxMs,
      environment.secondsAsMs("REQUEST_TIMEOUT", { fallback: 60, min: 0.1, max: DAY_SECONDS }),
    ),
    maxMs,
    streamIdleMs: environment.secondsAsMs("STREAM_IDLE_TIMEOUT", { fallback: 30, min: 0.1, max: 3_600 }),
    streamTotalMs: environment.secondsAsMs("STREAM_TIMEOUT", { fallback: 600, min: 1, max: DAY_SECONDS }),
    connectMs: environment.secondsAsMs("PROVIDER_CONNECT_TIMEOUT", { fallback: 5, min: 0.1, max: 60 }),
  };
}

function readReplay(environment: EnvironmentReader) {
  return {
    answerTtlMs: environment.secondsAsMs("REPLAY_TTL", {
      fallback: DAY_SECONDS,
      min: 0,
      max: 7 * DAY_SECONDS,
    }),
    maxBytes: environment.integer("REPLAY_MAX_BYTES", {
      fallback: 268_435_456,
      min: 2_097_152,
      max: 2 ** 31,
    }),
    maxClaims: environment.integer("REPLAY_MAX_REQUESTS", {
      fallback: 2_000_000,
      min: 1_000,
      max: 10_000_000,
    }),
  };
}

function readOtlp(environment: EnvironmentReader): OtlpConfig | undefined {
  const endpoint = environment.url("OTEL_EXPORTER_OTLP_ENDPOINT", ["http:", "https:"]);
  const sampleRatio = environment.ratio("OTEL_TRACES_SAMPLER_ARG", 1);
  if (endpoint === undefined) return undefined;
  return { endpoint, serviceName: environment.text("OTEL_SERVICE_NAME") ?? "llm-gateway", sampleRatio };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    // Maps and sets cannot be frozen; what they hold can.
    const isCollection = value instanceof Map || value instanceof Set;
    for (const nested of isCollection ? value.values() : Object.values(value)) deepFreeze(nested);
  }
  return value;
}
