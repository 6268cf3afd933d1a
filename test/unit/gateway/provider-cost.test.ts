import { expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { createCandidateHealthRegistry } from "../../../src/gateway/candidate-health.ts";
import { createGateway, type RunningGateway } from "../../../src/gateway/create-gateway.ts";
import { createDrains } from "../../../src/gateway/drains.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { DEFAULT_BACKOFF } from "../../../src/resilience/backoff.ts";
import { createRetryBudget } from "../../../src/resilience/retry-budget.ts";
import { createRouter } from "../../../src/routing/router.ts";
import { CollectingCompletionSink, createHarness, priceBook } from "../../support/gateway-harness.ts";
import { answersWith, event, streams } from "../../support/provider-calls.ts";
import { RecordingLedger } from "../../support/recording-ledger.ts";
import { RecordingTelemetry } from "../../support/recording-telemetry.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

const MODEL = "openrouter/anthropic/claude-sonnet-4.5";
const STATED_PICO_USD = 1_234_570_000n;

/** A gateway whose only provider is OpenRouter's adapter, in front of the stand-in. */
async function withGateway(
  work: (gateway: RunningGateway, ledger: RecordingLedger, standIn: ScriptedProvider) => Promise<void>,
): Promise<void> {
  await using standIn = await ScriptedProvider.start();
  const provider = createProvider({
    name: "openrouter",
    profile: "openrouter",
    baseUrl: standIn.origin,
    apiKey: "sk-or-v1-canary-0123456789",
    connectTimeoutMs: 2_000,
  });
  const timeouts = { providerTimeoutMs: 5_000, streamIdleMs: 5_000, streamTotalMs: 5_000 };
  const ledger = new RecordingLedger();
  const telemetry = new RecordingTelemetry();
  const gateway = createGateway({
    clock: systemClock,
    ledger,
    prices: priceBook,
    contextWindows: { of: () => undefined },
    providers: new Map([["openrouter", { provider, timeouts, cancelledStreams: "estimate" }]]),
    estimator: { warmUp: () => {}, estimate: async () => undefined },
    drains: createDrains({
      onError(error) {
        throw error;
      },
    }),
    // Nothing here is repeatable.
    ...{ memory: ledger, fingerprint: () => "", maxReplayBytes: 0 },
    health: createCandidateHealthRegistry(systemClock, telemetry),
    retryBudget: createRetryBudget(),
    backoff: DEFAULT_BACKOFF,
    limiter: { admit: () => Promise.resolve({ release: () => {} }) },
    router: createRouter({ providers: new Set(["openrouter"]), aliases: new Map(), defaultChain: [] }),
  });
  try {
    await work(gateway, ledger, standIn);
  } finally {
    await provider.close();
  }
}

it("a cost that the provider states is on the ledger beside the gateway's own, for answers and streams", () =>
  withGateway(async (gateway, ledger, standIn) => {
    const { call } = createHarness();
    standIn.does(answersWith("openrouter/completion.json"));
    await gateway.complete(call({ model: MODEL }));
    standIn.does(answersWith("openrouter/stream.sse"));
    await gateway.stream(call({ model: MODEL }), new CollectingCompletionSink());
    expect(ledger.settled).toHaveLength(2);
    for (const outcome of ledger.settled) {
      expect(outcome.providerCostPicoUsd).toBe(STATED_PICO_USD);
      expect(outcome.billingState).toBe("settled");
      // By the price list: 76 and 1,024 and 100 tokens in, 310 out.
      expect(outcome.costPicoUsd).not.toBe(STATED_PICO_USD);
      expect(outcome.costPicoUsd).toBeGreaterThan(0n);
    }
  }));

it("a cost that was stated before the stream failed is kept, too", () =>
  withGateway(async (gateway, ledger, standIn) => {
    const usage = { prompt_tokens: 1, completion_tokens: 2, cost: 1.5e-7 };
    const choices = [{ index: 0, delta: { content: "x" }, finish_reason: null }];
    standIn.does(streams([event({ choices }), event({ choices: [], usage })]));
    const { call } = createHarness();
    await expect(gateway.stream(call({ model: MODEL }), new CollectingCompletionSink())).rejects.toThrow();
    expect(ledger.settled).toMatchObject([
      { errorReason: "PROVIDER_STREAM_CUT", providerCostPicoUsd: 150_000n },
    ]);
  }));
