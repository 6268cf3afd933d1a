import { join } from "node:path";
import { type Config, ConfigError } from "./config/config.ts";
import { systemClock } from "./core/clock.ts";
import { type NewKey, type Principal, ROLES } from "./core/keys.ts";
import type { Database } from "./db/database.ts";
import { lockDataDirectory } from "./db/directory-lock.ts";
import { openDatabase } from "./db/open-database.ts";
import { createCandidateHealthRegistry } from "./gateway/candidate-health.ts";
import { createGateway, type RunningGateway } from "./gateway/create-gateway.ts";
import { settleOrphan } from "./gateway/settle-attempt.ts";
import { createAuthenticator } from "./keys/authenticator.ts";
import { keyEntities } from "./keys/entities.ts";
import { createKeyService } from "./keys/key-service.ts";
import { createKeyStore } from "./keys/key-store.ts";
import { createCostReader } from "./ledger/cost-reader.ts";
import { ledgerEntities } from "./ledger/entities.ts";
import { openJournal } from "./ledger/journal.ts";
import { createJournalLedger, type JournalLedger } from "./ledger/journal-ledger.ts";
import { createRateLimiter } from "./limits/rate-limiter.ts";
import { loadPepper } from "./pepper.ts";
import { parseOperatorPrices } from "./pricing/operator-prices.ts";
import { loadPriceBook } from "./pricing/price-book.ts";
import { closeProviders, createProviders } from "./providers-from-config.ts";
import { createReadiness } from "./readiness.ts";
import { DEFAULT_BACKOFF } from "./resilience/backoff.ts";
import { createRetryBudget } from "./resilience/retry-budget.ts";
import { createRouter } from "./routing/router.ts";
import { startServer } from "./server/start-server.ts";
import { createTelemetry, type GatewayTelemetry } from "./telemetry/create-telemetry.ts";

export const VERSION = "0.1.0";

/** A running gateway. */
export interface App {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly telemetry: GatewayTelemetry;
  /** Makes a key as the gateway itself; for the demo. */
  createKey(key: Pick<NewKey, "displayName" | "roles">): Promise<string>;
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

/** Connects the parts, in the order in which they need each other. */
export async function startApp(config: Config): Promise<App> {
  const clock = systemClock;
  const prices = await loadPrices(config);
  const telemetry = await startTelemetry(config, prices.isKnown);
  const { dataDir, url } = config.database;
  // The embedded database takes the directory's lock itself.
  const lock = url === undefined ? undefined : await lockDataDirectory(dataDir);
  const database = await openDatabase({
    url,
    dataDir,
    poolSize: config.database.poolSize,
    preparedStatements: config.database.preparedStatements,
    entities: [...ledgerEntities, ...keyEntities],
    onWarning: (message) => telemetry.log.warn("database_warning", { message }),
  });
  const ledger = await startLedger(dataDir, database, telemetry);
  telemetry.observeLedger(() => ({ records: ledger.depth, oldestAgeMs: ledger.oldestAgeMs }));

  const pepper = await loadPepper(config.keyPepper, config.database.dataDir);
  const keyStore = createKeyStore(database);
  const authenticator = createAuthenticator({ store: keyStore, pepper, adminKey: config.adminKey, clock });
  const keys = createKeyService(keyStore, { pepper, clock, onChanged: (id) => authenticator.forget(id) });

  const providers = createProviders(config.providers, config.deadlines);
  const gateway = createGateway({
    clock,
    ledger,
    limiter: createRateLimiter({ clock }),
    prices: prices.book,
    providers,
    health: createCandidateHealthRegistry(clock, telemetry),
    retryBudget: createRetryBudget(),
    backoff: DEFAULT_BACKOFF,
    router: createRouter({
      providers: new Set(providers.keys()),
      aliases: config.aliases,
      defaultChain: config.defaultChain,
    }),
  });
  const readiness = createReadiness({ ping: () => database.ping(), ledger });
  const costs = createCostReader(database, { beforeRead: () => ledger.caughtUp() });
  const server = await startServer(config, {
    ...{ version: VERSION, clock, telemetry, authenticator, gateway, keys, costs, readiness },
  });

  return {
    url: server.url,
    host: server.host,
    port: server.port,
    telemetry,
    createKey: async (key) => {
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
    async shutdown() {
      readiness.drain();
      await server.drain(config.shutdownGraceMs);
      await finishWork(gateway, ledger, telemetry);
      readiness.stop();
      await closeProviders(providers);
      await database.close();
      lock?.release();
      await telemetry.shutdown();
    },
  };
}

/** The journal is local to this process; what it still holds is shipped to the database from now on. */
async function startLedger(
  dataDir: string,
  database: Database,
  telemetry: GatewayTelemetry,
): Promise<JournalLedger> {
  const { log } = telemetry;
  const onWriteError = (error: unknown) => telemetry.ledgerWriteFailed(error);
  const journal = await openJournal({ directory: join(dataDir, "journal"), onWriteError });
  return await createJournalLedger({
    journal,
    database,
    settleOrphan,
    onWriteError,
    onSyncError: onWriteError,
    // The row is in no database: this line is the only copy, and it holds neither prompts nor secrets.
    onRejected: (error, { table, json }) => log.error("ledger_row_rejected", { table, row: json }, error),
    onRecovered: ({ orphans, rows }) => log.warn("journal_recovered", { orphans, rows }),
  });
}

/** Price overrides are checked here, so that the process does not start with a mistake in them. */
async function loadPrices(config: Config) {
  const operator = parseOperatorPrices(config.prices);
  if (!operator.ok) {
    throw new ConfigError(
      operator.issues.map(({ path, message }) => `CONFIG_FILE: prices.${path.join(".")}: ${message}`),
    );
  }
  const listed = [...config.defaultChain, ...[...config.aliases.values()].flat()];
  const book = await loadPriceBook({ operator: operator.versions, listed });
  const known = new Set(listed.map(({ provider, model }) => `${provider}/${model}`));
  const isKnown = (provider: string, model: string) =>
    known.has(`${provider}/${model}`) || book.find({ provider, model, at: systemClock.now() }) !== undefined;
  return { book, isKnown };
}

function startTelemetry(config: Config, isKnownModel: (provider: string, model: string) => boolean) {
  const secrets = [
    ...config.providers.flatMap(({ apiKey, aws }) => [apiKey, aws?.secretAccessKey, aws?.sessionToken]),
    ...[config.adminKey, config.keyPepper, config.metricsToken, config.database.url],
  ].filter((secret) => secret !== undefined);
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

/** Callers that were cut off leave completions behind that still have to settle. */
async function finishWork(
  gateway: RunningGateway,
  ledger: JournalLedger,
  telemetry: GatewayTelemetry,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, LEDGER_FLUSH_TIMEOUT_MS, false);
  });
  const flushed = await Promise.race([
    gateway
      .idle()
      .then(() => ledger.close())
      .then(() => true),
    timeout,
  ]);
  clearTimeout(timer);
  if (!flushed) telemetry.log.error("ledger_not_flushed", { records: ledger.depth });
}
