import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PersonalityName } from "../../simulator/personalities.ts";
import type { Script } from "../../simulator/script.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { NativeRequest, StreamDelta } from "../../src/core/completion.ts";
import type { AttemptOutcome, Ledger } from "../../src/core/ledger.ts";
import type { CancelledStreams } from "../../src/core/provider.ts";
import { createCandidateHealthRegistry } from "../../src/gateway/candidate-health.ts";
import { createGateway } from "../../src/gateway/create-gateway.ts";
import { createDrains, type Drains } from "../../src/gateway/drains.ts";
import { settleOrphan } from "../../src/gateway/settle-attempt.ts";
import { openJournal } from "../../src/ledger/journal.ts";
import { createJournalLedger } from "../../src/ledger/journal-ledger.ts";
import { createTokenizer, type Tokenizer } from "../../src/pricing/tokenizer.ts";
import { createUsageEstimator } from "../../src/pricing/usage-estimator.ts";
import { createProvider } from "../../src/providers/create-provider.ts";
import { createRetryBudget } from "../../src/resilience/retry-budget.ts";
import { createRouter } from "../../src/routing/router.ts";
import { CollectingCompletionSink, priceBook } from "./gateway-harness.ts";
import { principal } from "./principals.ts";
import { inputOf, userMessage } from "./provider-calls.ts";
import { RecordingLedger, type WriteBehaviour } from "./recording-ledger.ts";
import { RecordingTelemetry } from "./recording-telemetry.ts";

/** A settled outcome, and when it was durable in the journal. */
export interface Settlement {
  readonly outcome: AttemptOutcome;
  readonly durableAtMs: number;
}

export interface BenchCompletion {
  readonly kind: "unary" | "stream";
  readonly personality?: PersonalityName;
  readonly text?: string;
  readonly script?: Script;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** The caller speaks the provider's dialect: request and answer are passed on as they were written. */
  readonly relayed?: boolean;
  /** A promise means that the caller does not read on before it resolves. */
  readonly onDeltas?: (deltas: readonly StreamDelta[]) => Promise<void> | undefined;
}

/** How it ended for its caller. */
export interface BenchEnd {
  readonly reason: string | undefined;
  readonly endedAtMs: number;
  readonly deadlineAtMs: number;
  readonly text: string;
  /** The prompt, directives included. */
  readonly prompt: string;
}

/**
 * The gateway core with its real adapters, tokenizer and journal in front of the real simulator. Only the database is
 * away, so that what is timed is the journal, and corrections are kept here.
 */
export interface SettlementBench {
  readonly simulator: Simulator;
  readonly drains: Drains;
  readonly tokenizer: Tokenizer;
  readonly settlements: readonly Settlement[];
  readonly corrections: readonly AttemptOutcome[];
  readonly drainErrors: readonly unknown[];
  readonly telemetry: RecordingTelemetry;
  run(completion: BenchCompletion): Promise<BenchEnd>;
  /** Resolves with the settlement of the newest attempt. */
  settlement(): Promise<Settlement>;
  close(): Promise<void>;
}

/** Long enough for a thread to load on a busy machine. */
export const PATIENT_MS = 20_000;

const MODELS: Readonly<Record<PersonalityName, string>> = {
  openai: "gpt-5-mini",
  deepseek: "deepseek-flash",
  huggingface: "meta-llama/Llama-3.3-70B-Instruct:groq",
  anthropic: "claude-sonnet-4-5",
  gemini: "gemini-2.5-flash",
};

export async function startSettlementBench(options: {
  readonly cancelledStreams: CancelledStreams;
  readonly idleMs?: number;
  readonly maxSockets?: number;
  /** Load the tokenizer first and wait for its counts, however busy the machine is. @default false */
  readonly patient?: boolean;
  /** What becomes of corrections. @default they are kept */
  readonly correct?: WriteBehaviour;
}): Promise<SettlementBench> {
  const simulator = await startSimulator();
  const directory = mkdtempSync(join(tmpdir(), "llm-gateway-settlement-"));
  const ledger = await createJournalLedger({
    journal: await openJournal({ directory }),
    database: { query: () => Promise.reject(new Error("away")), sync: undefined },
    settleOrphan,
  });
  const settlements: Settlement[] = [];
  const corrections: AttemptOutcome[] = [];
  const drainErrors: unknown[] = [];
  const waiters: ((settlement: Settlement) => void)[] = [];
  const timed: Ledger = {
    open: (intent) => ledger.open(intent),
    checkpoint: (attemptId, received) => ledger.checkpoint(attemptId, received),
    async settle(outcome) {
      await ledger.settle(outcome);
      const settlement = { outcome, durableAtMs: performance.now() };
      settlements.push(settlement);
      for (const wake of waiters.splice(0)) wake(settlement);
    },
    async correct(outcome) {
      await options.correct?.();
      corrections.push(outcome);
    },
    finish: (entry) => ledger.finish(entry),
    flush: () => ledger.flush(),
    ready: true,
  };
  const timeouts = {
    providerTimeoutMs: 10_000,
    streamIdleMs: options.idleMs ?? 10_000,
    streamTotalMs: 60_000,
  };
  const names = Object.keys(MODELS) as readonly PersonalityName[];
  const providers = new Map(
    names.map((name) => {
      const provider = createProvider({
        ...{ name, profile: name, baseUrl: simulator.baseUrl(name), apiKey: "sk-test" },
        ...{ connectTimeoutMs: 5_000, maxSockets: options.maxSockets },
      });
      return [name as string, { provider, timeouts, cancelledStreams: options.cancelledStreams }];
    }),
  );
  const tokenizer = createTokenizer();
  const estimator = createUsageEstimator({
    warmUp: () => tokenizer.warmUp(),
    count: (texts, maxWaitMs) => tokenizer.count(texts, options.patient ? PATIENT_MS : maxWaitMs),
  });
  if (options.patient) await tokenizer.count([""], PATIENT_MS);
  const telemetry = new RecordingTelemetry();
  const drains = createDrains({ onError: (error) => drainErrors.push(error) });
  const gateway = createGateway({
    ...{ clock: systemClock, ledger: timed, prices: priceBook, providers, drains },
    contextWindows: { of: () => undefined },
    estimator,
    // Nothing here is repeatable.
    memory: new RecordingLedger(),
    fingerprint: () => "",
    maxReplayBytes: 0,
    health: createCandidateHealthRegistry(systemClock, telemetry),
    retryBudget: createRetryBudget(),
    backoff: { baseMs: 1, maxMs: 1, random: () => 0 },
    limiter: { admit: () => Promise.resolve({ release: () => {} }) },
    router: createRouter({ providers: new Set(providers.keys()), aliases: new Map(), defaultChain: [] }),
  });
  let requests = 0;
  return {
    ...{ simulator, drains, tokenizer, settlements, corrections, drainErrors, telemetry },
    async run({ kind, personality = "openai", text = "Hello.", script = {}, ...completion }) {
      const prompt = `${text} [[sim ${JSON.stringify(script)}]]`;
      const deadlineAtMs = performance.now() + (completion.deadlineMs ?? 30_000);
      const sink = new CollectingCompletionSink();
      const call = {
        requestId: `request-${++requests}`,
        principal: principal(),
        ...{
          model: `${personality}/${MODELS[personality]}`,
          fallbackModels: [],
          tags: {},
          endUser: undefined,
        },
        repeatable: false,
        input: inputOf([userMessage(prompt)]),
        native: completion.relayed ? nativeRequest(prompt, kind) : undefined,
        ...{ deadlineAtMs, telemetry, signal: completion.signal ?? new AbortController().signal },
      };
      const deltas = (batch: readonly StreamDelta[]) => {
        void sink.deltas(batch);
        return completion.onDeltas?.(batch);
      };
      const work = kind === "unary" ? gateway.complete(call) : gateway.stream(call, { started() {}, deltas });
      const reason = await work.then(
        () => undefined,
        (error: { readonly reason: string }) => error.reason,
      );
      return { reason, endedAtMs: performance.now(), deadlineAtMs, text: sink.events.join(""), prompt };
    },
    settlement: () => new Promise((resolve) => waiters.push(resolve)),
    async close() {
      await drains.close(0);
      await gateway.idle();
      await ledger.close(10);
      await tokenizer.close();
      await Promise.all([...providers.values()].map(({ provider }) => provider.close()));
      await simulator.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function nativeRequest(prompt: string, kind: BenchCompletion["kind"]): NativeRequest {
  const body = { model: "", messages: [{ role: "user", content: prompt }], stream: kind === "stream" };
  const text = JSON.stringify(body);
  return { dialect: "openai-chat", text, body, gatewayMembers: [], untranslatable: [] };
}
