import type { Candidate } from "../core/model-name.ts";
import type { CancelledStreams } from "../core/provider.ts";
import type { ProviderTypeName } from "../core/provider-types.ts";
import type { Route } from "../core/route.ts";

/** Everything that can be set, parsed once, checked and frozen. Durations are in milliseconds. */
export interface Config {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  /** Browsers' origins that may call; empty means none. */
  readonly corsOrigins: readonly string[];
  readonly maxInFlight: number;
  readonly shutdownGraceMs: number;
  readonly database: DatabaseConfig;
  /** What the journal may hold before new calls are refused. */
  readonly journalMaxBytes: number;
  readonly deadlines: DeadlineConfig;
  readonly replay: ReplayConfig;
  readonly providers: readonly ProviderConfig[];
  /** Alias → what stands behind it. */
  readonly aliases: ReadonlyMap<string, Route>;
  readonly defaultChain: readonly Candidate[];
  /** Providers and `provider/model`s that nobody may ask. */
  readonly disabled: ReadonlySet<string>;
  /** The operator's price overrides, as they stand in the file. */
  readonly prices: readonly unknown[];
  /** Tokens that a model takes, input and output together, by `provider/model`: above what the price list says. */
  readonly contextWindows: ReadonlyMap<string, number>;
  /** No provider is configured: the bundled simulator stands in. */
  readonly demo: boolean;
  /** A secret of at least 32 characters that may do everything; undefined means that there is none. */
  readonly adminKey: string | undefined;
  /** Keyed-hash secret for API keys; undefined means that the one in the data directory is used. */
  readonly keyPepper: string | undefined;
  /** While the database is away, a key is used that was read from it at most this long ago; 0 means 5 s, as always. */
  readonly keyOutageTtlMs: number;
  readonly logLevel: LogLevel;
  /** Bearer token that `GET /metrics` then requires. */
  readonly metricsToken: string | undefined;
  readonly otlp: OtlpConfig | undefined;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Clients must show a certificate of this authority (mTLS). */
  readonly clientCaFile: string | undefined;
}

export interface DatabaseConfig {
  /** PostgreSQL; undefined means the embedded database in `dataDir`. */
  readonly url: string | undefined;
  readonly dataDir: string;
  readonly poolSize: number;
  /** False behind a proxy that pools connections by transaction and does not know of prepared statements. */
  readonly preparedStatements: boolean;
  /** Whole months that records are kept besides the current one; undefined keeps them for ever. */
  readonly retentionMonths: number | undefined;
}

export interface DeadlineConfig {
  /** Of a call whose caller set none. */
  readonly defaultMs: number;
  /** A longer one is shortened to this. */
  readonly maxMs: number;
  readonly streamIdleMs: number;
  readonly streamTotalMs: number;
  readonly connectMs: number;
}

/** What is remembered of calls whose callers chose their request ids. */
export interface ReplayConfig {
  /** How long answers are kept; 0 keeps none. */
  readonly answerTtlMs: number;
  /** Of all answers together. */
  readonly maxBytes: number;
  /** Calls. */
  readonly maxClaims: number;
}

export interface ProviderConfig {
  readonly name: string;
  readonly profile: ProviderTypeName;
  readonly baseUrl: string;
  /** Undefined for a provider that needs none. */
  readonly apiKey: string | undefined;
  /** For Bedrock, instead of a key. */
  readonly aws?: AwsCredentialsConfig | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** For an answer, and for the first token of a stream. */
  readonly timeoutMs: number;
  /** Undefined means that the one of its type holds. */
  readonly cancelledStreams?: CancelledStreams | undefined;
}

export interface AwsCredentialsConfig {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
  readonly region: string;
}

export interface OtlpConfig {
  /** Base URL of an OTLP/HTTP receiver; `/v1/traces` is appended. */
  readonly endpoint: string;
  readonly serviceName: string;
  /** Share of new traces that are recorded, from 0 to 1. A caller's decision is kept. */
  readonly sampleRatio: number;
}

/** Every mistake in the configuration, each with the name of the variable or the path in the file. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly issues: readonly string[];

  constructor(issues: readonly string[]) {
    super(
      `the configuration has ${issues.length} mistake(s):\n${issues.map((issue) => `  - ${issue}`).join("\n")}`,
    );
    this.issues = issues;
  }
}
