import type { Config } from "./config/config.ts";
import { systemClock } from "./core/clock.ts";
import { type NewKey, type Principal, ROLES } from "./core/keys.ts";
import { lockDataDirectory } from "./db/directory-lock.ts";
import { openDatabaseEventually } from "./db/eventual-database.ts";
import { createCostAdjuster } from "./gateway/adjust-costs.ts";
import { createCandidateHealthRegistry } from "./gateway/candidate-health.ts";
import { createGateway, type RunningGateway } from "./gateway/create-gateway.ts";
import { createDrains, type Drains } from "./gateway/drains.ts";
import { createFingerprint } from "./gateway/fingerprint.ts";
import { createAuthenticator } from "./keys/authenticator.ts";
import { keyEntities } from "./keys/entities.ts";
import { createKeyService } from "./keys/key-service.ts";
import { createKeyStore } from "./keys/key-store.ts";
import { createAdjustmentStore } from "./ledger/adjustment-store.ts";
import { createCostReader } from "./ledger/cost-reader.ts";
import { ledgerEntities } from "./ledger/entities.ts";
import type { JournalLedger } from "./ledger/journal-ledger.ts";
import { startLedgerUpkeep } from "./ledger/ledger-upkeep.ts";
import { DEFAULT_MAX_ANSWER_BYTES } from "./ledger/replay-journal.ts";
import { createLedgerVerifier } from "./ledger/verify-ledger.ts";
import { startLedger } from "./ledger-from-config.ts";
import { createRateLimiter } from "./limits/rate-limiter.ts";
import { logAdjustment } from "./log-adjustment.ts";
import { deriveSecret, loadPepper } from "./pepper.ts";
import { createTokenizer } from "./pricing/tokenizer.ts";
import { createUsageEstimator } from "./pricing/usage-estimator.ts";
import { closeProviders } from "./providers-from-config.ts";
import { createReadiness } from "./readiness.ts";
import { type BackoffOptions, DEFAULT_BACKOFF } from "./resilience/backoff.ts";
import { createRetryBudget, type RetryBudget } from "./resilience/retry-budget.ts";
import { closeReplaced, createRouting, loadPrices, type ReloadableConfig } from "./routing-from-config.ts";
import { startServer } from "./server/start-server.ts";
import { createTelemetry, type GatewayTelemetry } from "./telemetry/create-telemetry.ts";

export const VERSION = "0.1.0";

/** A running gateway. */
export interface App {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly telemetry: GatewayTelemetry;
  /** Rejects when the process cannot be of use any more: the database was away at the start and then refused for good. */
  readonly failed: Promise<never>;
  /** Makes a key as the gateway itself, once the database is there; for the demo. */
  createKey(key: Pick<NewKey, "displayName" | "roles">): Promise<string>;
  /**
   * Takes over providers, models and prices of another configuration, for the calls from now on; calls under way
   * end with the former ones.
   * @throws ConfigError, RangeError: then nothing has changed
   */
  reload(config: ReloadableConfig): Promise<void>;
  /** Not ready → GOAWAY → calls in flight finish within the grace → ledger flushed → everything closed. */
  shutdown(): Promise<void>;
}

/** The gateway itself, as the actor of what no caller asked for. */
const SYSTEM: Principal = {
  apiKeyId: "system",
  roles: ROLES,
  allowedModels: [],
  limits: { requestsPerMinute: undefined, tokensPerMinute: undefined, maxConcurrent: undefined },
  tags: {},
};

/** What is not configured. */
export interface AppOptions {
  /** @default 500 ms, doubling, at most 10 s */
  readonly backoff?: BackoffOptions;
  /** @default 20 % more calls than requests */
  readonly retryBudget?: RetryBudget;
}

/** Connects the parts, in the order in which they need each other. */
export async function startApp(config: Config, options: AppOptions = {}): Promise<App> {
  const clock = systemClock;
  const prices = await loadPrices(config);
  const telemetry = await startTelemetry(config, (provider, model) => routing.isKnownModel(provider, model));
  const health = createCandidateHealthRegistry(clock, telemetry);
  let routing = createRouting(config, prices, { health });
  const { dataDir, url } = config.database;
  // The embedded database takes the directory's lock itself.
  const lock = url === undefined ? undefined : await lockDataDirectory(dataDir);
  const database = await openDatabaseEventually({
    url,
    dataDir,
    poolSize: config.database.poolSize,
    preparedStatements: config.database.preparedStatements,
    entities: [...ledgerEntities, ...keyEntities],
    onWarning: (message) => telemetry.log.warn("database_warning", { message }),
  });
  const pepper = await loadPepper(config.keyPepper, dataDir);
  const { ledger, replays } = await startLedger(config, { database, telemetry, clock, pepper });
  const readiness = createReadiness({
    ping: () => database.ping(),
    databaseAnswers: database.isOpen,
    ledger,
  });
  const opened = database.opened.then(() => readiness.check());
  // `failed` tells of it, once there is somebody to be told.
  opened.catch(() => {});
  telemetry.observeLedger(() => ({
    records: ledger.depth,
    oldestAgeMs: ledger.oldestAgeMs,
    journalBytes: ledger.journalBytes,
    databaseAnswers: readiness.databaseAnswers,
  }));
  const upkeep = database.opened.then(() =>
    startLedgerUpkeep({
      database,
      retentionMonths: config.database.retentionMonths,
      caughtUp: () => ledger.caughtUp(),
      onDropped: ({ costUsd, ...month }) =>
        telemetry.log.warn("ledger_month_dropped", { ...month, cost_usd: costUsd }),
      onError: (error) => telemetry.log.error("ledger_upkeep_failed", {}, error),
    }),
  );
  upkeep.catch(() => {});

  const keyStore = createKeyStore(database);
  const authenticator = createAuthenticator({
    ...{ store: keyStore, pepper, adminKey: config.adminKey, clock, outageTtlMs: config.keyOutageTtlMs },
    isStoreAway: () => !readiness.databaseAnswers,
  });
  const keys = createKeyService(keyStore, { pepper, clock, onChanged: (id) => authenticator.forget(id) });

  const tokenizer = createTokenizer();
  const drains = createDrains({ onError: (error) => telemetry.ledgerWriteFailed("journal", error) });
  telemetry.observeDrains(() => drains.active);
  const gateway = createGateway({
    clock,
    ledger,
    estimator: createUsageEstimator(tokenizer),
    drains,
    limiter: createRateLimiter({ clock }),
    health,
    retryBudget: options.retryBudget ?? createRetryBudget(),
    backoff: options.backoff ?? DEFAULT_BACKOFF,
    memory: replays,
    fingerprint: createFingerprint(deriveSecret(pepper, "fingerprints of calls")),
    maxReplayBytes: DEFAULT_MAX_ANSWER_BYTES,
    ...routing,
  });
  let retired: Promise<void> = Promise.resolve();
  const beforeRead = () => ledger.caughtUp();
  const costs = createCostReader(database, { beforeRead });
  const adjuster = createCostAdjuster({
    store: createAdjustmentStore(database, { beforeRead }),
    // Those of the last reload.
    prices: { find: (query) => routing.prices.find(query) },
    clock,
    onAdjusted: (adjusted) => logAdjustment(telemetry.log, adjusted),
  });
  const verifier = createLedgerVerifier(database, { journal: ledger.journal, beforeRead });
  const server = await startServer(config, {
    ...{ version: VERSION, clock, telemetry, authenticator, gateway, keys, costs, adjuster, verifier },
    readiness,
  });

  return {
    url: server.url,
    host: server.host,
    port: server.port,
    telemetry,
    failed: opened.then(() => new Promise<never>(() => {})),
    createKey: async (key) => {
      await opened;
      const limits = SYSTEM.limits;
      const created = await keys.create(SYSTEM, {
        ...key,
        limits,
        allowedModels: [],
        tags: {},
        expiresAt: undefined,
      });
      return created.secret;
    },
    async reload(next) {
      telemetry.protectSecrets(secretsOf(next.providers));
      const nextPrices = await loadPrices(next);
      const previous = routing;
      const taken = createRouting(next, nextPrices, { health, previous });
      routing = taken;
      // An older version may still use what this one gives up: one after the other.
      const ended = Promise.all([retired, gateway.replaceRouting(taken)]);
      retired = ended.then(() => closeReplaced(previous, taken));
    },
    async shutdown() {
      const graceEndsAtMs = clock.monotonicMs() + config.shutdownGraceMs;
      readiness.drain();
      await server.drain(config.shutdownGraceMs);
      const graceLeftMs = Math.max(0, graceEndsAtMs - clock.monotonicMs());
      await finishWork({ gateway, drains, ledger, telemetry }, graceLeftMs);
      readiness.stop();
      await tokenizer.close();
      await retired;
      await closeProviders(routing.providers);
      if (database.isOpen) await (await upkeep).stop();
      await database.close();
      lock?.release();
      await telemetry.shutdown();
    },
  };
}

function secretsOf(providers: Config["providers"]): readonly string[] {
  return providers
    .flatMap(({ apiKey, aws }) => [apiKey, aws?.secretAccessKey, aws?.sessionToken])
    .filter((secret) => secret !== undefined);
}

function startTelemetry(config: Config, isKnownModel: (provider: string, model: string) => boolean) {
  const secrets = [
    ...secretsOf(config.providers),
    ...[config.adminKey, config.keyPepper, config.metricsToken, config.database.url].filter(
      (s) => s !== undefined,
    ),
  ];
  return createTelemetry({
    version: VERSION,
    isKnownModel,
    logLevel: config.logLevel,
    secrets,
    otlp: config.otlp,
  });
}

/** How long the ledger may take to become durable once all calls have ended. */
const LEDGER_FLUSH_TIMEOUT_MS = 30_000;

/**
 * Callers that were cut off leave completions behind that still have to settle, and those that went before calls that
 * are read to their end: as long as the grace lasts.
 */
async function finishWork(
  parts: {
    readonly gateway: RunningGateway;
    readonly drains: Drains;
    readonly ledger: JournalLedger;
    readonly telemetry: GatewayTelemetry;
  },
  graceLeftMs: number,
): Promise<void> {
  const { gateway, drains, ledger, telemetry } = parts;
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, graceLeftMs + LEDGER_FLUSH_TIMEOUT_MS, false);
  });
  const flushed = await Promise.race([
    drains
      .close(graceLeftMs)
      .then(() => gateway.idle())
      .then(() => ledger.close())
      .then(() => true),
    timeout,
  ]);
  clearTimeout(timer);
  if (!flushed) telemetry.log.error("ledger_not_flushed", { records: ledger.depth });
}
