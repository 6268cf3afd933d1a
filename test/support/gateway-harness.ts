import { expect, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { StreamDelta } from "../../src/core/completion.ts";
import {
  type CompletionCall,
  CompletionError,
  type CompletionResult,
  type CompletionSink,
  type EmbeddingCall,
  type EmbeddingResult,
  type SinkRecovery,
  type StreamResult,
} from "../../src/core/gateway.ts";
import type { Principal, RateLimiter } from "../../src/core/keys.ts";
import { type Candidate, candidateName } from "../../src/core/model-name.ts";
import type { PriceBook } from "../../src/core/price.ts";
import type { CancelledStreams } from "../../src/core/provider.ts";
import { DEFAULT_ROUTE_POLICY, orderedRoute, type RoutePolicy } from "../../src/core/route.ts";
import type { TimeoutPolicy } from "../../src/gateway/attempt-timeouts.ts";
import { createCandidateHealthRegistry } from "../../src/gateway/candidate-health.ts";
import { createGateway, type GatewayRouting, type RunningGateway } from "../../src/gateway/create-gateway.ts";
import { createDrains, type Drains } from "../../src/gateway/drains.ts";
import { createFingerprint } from "../../src/gateway/fingerprint.ts";
import { loadPriceBook } from "../../src/pricing/price-book.ts";
import type { UsageEstimator } from "../../src/pricing/usage-estimator.ts";
import { createRetryBudget, type RetryBudget } from "../../src/resilience/retry-budget.ts";
import { createRouter } from "../../src/routing/router.ts";
import { FakeProvider } from "./fake-provider.ts";
import { principal } from "./principals.ts";
import { embeddingOf, inputOf, userMessage } from "./provider-calls.ts";
import { RecordingLedger } from "./recording-ledger.ts";
import { RecordingTelemetry } from "./recording-telemetry.ts";

/** The prices of production. */
export const priceBook: PriceBook = await loadPriceBook({});

export const OPENAI: Candidate = { provider: "openai", model: "gpt-5-mini" };
export const DEEPSEEK: Candidate = { provider: "deepseek", model: "deepseek-flash" };
export const HUGGINGFACE: Candidate = {
  provider: "huggingface",
  model: "meta-llama/Llama-3.3-70B-Instruct:groq",
};

const CONTEXT_WINDOWS: Readonly<Record<string, number>> = {
  [candidateName(OPENAI)]: 400_000,
  "openai/gpt-5-nano": 500_000,
  [candidateName(DEEPSEEK)]: 1_000_000,
  [candidateName(HUGGINGFACE)]: 2_000_000,
};

const TIMEOUTS: TimeoutPolicy = { providerTimeoutMs: 30_000, streamIdleMs: 30_000, streamTotalMs: 600_000 };

export interface HarnessOptions {
  /** Behind the alias `chain`. @default openai → deepseek → huggingface */
  readonly chain?: readonly Candidate[];
  /** Of the alias `chain`. @default none */
  readonly policy?: Partial<RoutePolicy>;
  readonly defaultChain?: readonly Candidate[];
  readonly timeouts?: Partial<TimeoutPolicy>;
  readonly limiter?: RateLimiter;
  readonly retryBudget?: RetryBudget;
  readonly prices?: PriceBook;
  /** By `provider/model`. @default those of the models above, each larger than the one before it in the chain */
  readonly contextWindows?: Readonly<Record<string, number>>;
  /** @default one that never counts in time, so that estimates go by bytes */
  readonly estimator?: UsageEstimator;
  /** Of every provider. @default estimate */
  readonly cancelledStreams?: CancelledStreams;
  /** Of a streamed answer. @default 10,000 */
  readonly maxReplayBytes?: number;
  /** Where in its range a backoff falls, in [0, 1). @default 0.5 */
  readonly jitter?: number;
}

export interface CallChanges
  extends Partial<Omit<CompletionCall, "deadlineAtMs" | "telemetry" | "principal">> {
  /** From now. @default 60,000 */
  readonly deadlineMs?: number;
  readonly principal?: Principal;
}

export type EmbeddingChanges = Partial<Omit<EmbeddingCall, "deadlineAtMs" | "telemetry">> & {
  /** From now. @default 60,000 */
  readonly deadlineMs?: number;
};

/** The gateway core with its real parts; only providers, ledger and telemetry are stood in for. */
export interface Harness {
  readonly gateway: RunningGateway;
  readonly routing: GatewayRouting;
  readonly openai: FakeProvider;
  readonly deepseek: FakeProvider;
  readonly huggingface: FakeProvider;
  readonly ledger: RecordingLedger;
  readonly telemetry: RecordingTelemetry;
  readonly drains: Drains;
  /** What ledger and providers saw, in order. */
  readonly timeline: string[];
  call(changes?: CallChanges): CompletionCall;
  complete(changes?: CallChanges): Promise<CompletionResult>;
  stream(changes?: CallChanges, sink?: CompletionSink): Promise<StreamResult>;
  /** Two texts, unless told otherwise. */
  embed(changes?: EmbeddingChanges): Promise<EmbeddingResult>;
}

export function createHarness(options: HarnessOptions = {}): Harness {
  const timeline: string[] = [];
  const openai = new FakeProvider("openai", timeline);
  const deepseek = new FakeProvider("deepseek", timeline);
  const huggingface = new FakeProvider("huggingface", timeline);
  const ledger = new RecordingLedger(timeline);
  const telemetry = new RecordingTelemetry();
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  const contextWindows = options.contextWindows ?? CONTEXT_WINDOWS;
  const providers = new Map(
    [openai, deepseek, huggingface].map((provider) => [
      provider.name,
      { provider, timeouts, cancelledStreams: options.cancelledStreams ?? "estimate" },
    ]),
  );
  const drains = createDrains({
    onError: (error) => {
      throw error;
    },
  });
  const routing: GatewayRouting = {
    prices: options.prices ?? priceBook,
    contextWindows: { of: (candidate) => contextWindows[candidateName(candidate)] },
    providers,
    router: createRouter({
      providers: new Set(providers.keys()),
      aliases: new Map([
        [
          "chain",
          {
            ...orderedRoute(options.chain ?? [OPENAI, DEEPSEEK, HUGGINGFACE]),
            policy: options.policy && { ...DEFAULT_ROUTE_POLICY, ...options.policy },
          },
        ],
      ]),
      defaultChain: options.defaultChain ?? [],
    }),
  };
  const gateway = createGateway({
    ...routing,
    clock: systemClock,
    ledger,
    // Fake time does not reach another thread.
    estimator: options.estimator ?? { warmUp: () => {}, estimate: async () => undefined },
    drains,
    health: createCandidateHealthRegistry(systemClock, telemetry),
    retryBudget: options.retryBudget ?? createRetryBudget(),
    memory: ledger,
    fingerprint: createFingerprint(Buffer.alloc(32, 1)),
    maxReplayBytes: options.maxReplayBytes ?? 10_000,
    backoff: { baseMs: 500, maxMs: 10_000, random: () => options.jitter ?? 0.5 },
    limiter: options.limiter ?? { admit: () => Promise.resolve({ release: () => {} }) },
  });
  const frame = (deadlineMs = 60_000) => ({
    requestId: "request-1",
    repeatable: false,
    principal: principal(),
    model: "chain",
    fallbackModels: [],
    tags: { team: "search" },
    endUser: "user-1",
    deadlineAtMs: performance.now() + deadlineMs,
    signal: new AbortController().signal,
  });
  const call = ({ deadlineMs, ...changes }: CallChanges = {}): CompletionCall => ({
    ...frame(deadlineMs),
    input: inputOf([userMessage("Hello there, how are you?")]),
    ...changes,
    telemetry,
  });
  return {
    gateway,
    routing,
    openai,
    deepseek,
    huggingface,
    ledger,
    telemetry,
    drains,
    timeline,
    call,
    complete: (changes) => gateway.complete(call(changes)),
    stream: (changes, sink = new CollectingCompletionSink()) => gateway.stream(call(changes), sink),
    embed: ({ deadlineMs, ...changes } = {}) =>
      gateway.embed({
        ...frame(deadlineMs),
        input: embeddingOf(["one", "two words"]),
        ...changes,
        telemetry,
      }),
  };
}

/** A caller of a stream who keeps what comes. */
export class CollectingCompletionSink implements CompletionSink {
  readonly events: string[] = [];
  readonly recovery: SinkRecovery = {
    expected: () => this.events.push("may restart"),
    possible: true,
    restarted: (provider, model, reason) =>
      this.events.push(`restarted ${provider}/${model} after ${reason}`),
  };

  started(provider: string, model: string): void {
    this.events.push(`started ${provider}/${model}`);
  }

  deltas(deltas: readonly StreamDelta[]): Promise<void> | undefined {
    this.events.push(deltas.map((delta) => (delta.kind === "text" ? delta.text : delta.kind)).join(""));
    return undefined;
  }
}

/** Moves the fake time on until the work ends. Fails when nothing is left that could end it. */
export async function inFakeTime<T>(work: Promise<T>): Promise<T> {
  let over = false;
  const end = () => {
    over = true;
  };
  work.then(end, end);
  for (let step = 0; step < 10_000; step += 1) {
    await vi.advanceTimersByTimeAsync(0);
    if (over) return work;
    if (vi.getTimerCount() === 0) throw new Error("it would hang for ever: no timer is left");
    await vi.advanceTimersToNextTimerAsync();
  }
  throw new Error("it does not end");
}

export interface Timed<T> {
  readonly value: T;
  readonly elapsedMs: number;
}

export async function timed<T>(work: Promise<T>): Promise<Timed<T>> {
  const startedAtMs = performance.now();
  const value = await inFakeTime(work);
  return { value, elapsedMs: performance.now() - startedAtMs };
}

/** The CompletionError that the work ends with; anything else fails the test. */
export async function failureOf(work: Promise<unknown>): Promise<CompletionError> {
  const outcome = await inFakeTime(
    work.then(
      () => undefined,
      (error: unknown) => ({ error }),
    ),
  );
  if (!outcome) throw new Error("expected a failure");
  if (!(outcome.error instanceof CompletionError)) throw outcome.error;
  return outcome.error;
}

/** What holds after every request, however it ended. */
export function expectLedgerLaws(harness: Harness, options: { readonly requests?: number } = {}): void {
  const { ledger, timeline } = harness;
  const calls = [harness.openai, harness.deepseek, harness.huggingface].flatMap((provider) => provider.calls);
  const opened = ledger.opened.map(({ attemptId }) => attemptId);
  const settled = ledger.settled.map(({ intent }) => intent.attemptId);
  expect(new Set(opened).size).toBe(opened.length);
  expect([...settled].sort()).toEqual([...opened].sort());
  expect(ledger.finished).toHaveLength(options.requests ?? 1);
  expect(opened.length).toBeGreaterThanOrEqual(calls.length);
  expectOpenedBeforeCalled(timeline);
  if ((options.requests ?? 1) > 1) return;
  expect(ledger.opened.map(({ ordinal }) => ordinal)).toEqual(opened.map((_, index) => index + 1));
  expect(ledger.onlyRequest.attempts).toBe(opened.length);
  // Of two that run at once it is up to chance which one is settled last.
  if (harness.telemetry.hedges.length > 0) return;
  expect(settled).toEqual(opened);
  const last = ledger.settled.at(-1)?.intent;
  expect(ledger.onlyRequest).toMatchObject({ provider: last?.provider, model: last?.model });
}

function expectOpenedBeforeCalled(timeline: readonly string[]): void {
  let uncalled = 0;
  for (const event of timeline) {
    if (event.startsWith("opened")) uncalled += 1;
    if (event.startsWith("call")) uncalled -= 1;
    expect(uncalled, timeline.join(", ")).toBeGreaterThanOrEqual(0);
  }
}
