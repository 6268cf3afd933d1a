import { describe, expect, it } from "vitest";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { CALL_KINDS, type CompletionOutcome } from "../support/completion-client.ts";
import { inParallel } from "../support/in-parallel.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const bench = useFaultBench({
  groups: { openai: { profile: "openai", count: 60 }, deepseek: { profile: "deepseek" } },
});
const { NOT_BILLED, SETTLED } = BillingState;

/** When the calls of a request arrived at the simulator, in order. */
function arrivalsOf(requestId: string): readonly number[] {
  return bench()
    .simulator.requests.recent()
    .filter(({ body }) => JSON.stringify(body).includes(`request=${requestId}`))
    .map(({ startedAt }) => startedAt);
}

/** After each test these are compared with the ledger, record by record. */
const statesOf = ({ attempts }: CompletionOutcome) => attempts.map(({ billingState }) => billingState);

describe.each(CALL_KINDS)("a %s call whose provider answers with an error status", (kind) => {
  it.each([429, 503])("asks again after %i, and has a row for each attempt", async (status) => {
    const model = bench().candidate();
    const outcome = await bench().complete({ kind, model, scripts: { openai: { status, times: 1 } } });
    expect(outcome.reason).toBeUndefined();
    expect(statesOf(outcome)).toEqual([NOT_BILLED, SETTLED]);
  });

  it("waits as long as the provider asks for, in milliseconds", async () => {
    const scripts = { openai: { status: 429, retryAfterMs: 700, times: 1 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
    expect(outcome.reason).toBeUndefined();
    const [first = 0, second = 0, ...more] = arrivalsOf(outcome.requestId);
    expect(second - first).toBeGreaterThanOrEqual(700);
    expect(more).toEqual([]);
  });

  it("turns to the next provider at once when it is asked to wait for long", async () => {
    const scripts = { openai: { status: 429, retryAfter: 30 } };
    const [model, fallback] = [bench().candidate(), bench().candidate("deepseek")];
    const outcome = await bench().complete({ kind, model, fallbackModels: [fallback], scripts });
    expect(outcome.provider).toMatch(/^deepseek/);
    expect(outcome.elapsedMs).toBeLessThan(500);
    expect(statesOf(outcome)).toEqual([NOT_BILLED, SETTLED]);
  });

  it("passes a wait that is longer than its deadline on to the caller, at once", async () => {
    const scripts = { openai: { status: 429, retryAfter: 7 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts, timeoutMs: 3_000 });
    expect(outcome.reason).toBe("PROVIDER_RATE_LIMITED");
    expect(outcome.error?.metadata.get("retry-after")).toBe("7");
    expect(outcome.elapsedMs).toBeLessThan(500);
    expect(arrivalsOf(outcome.requestId)).toHaveLength(1);
  });

  it("is over in time when the deadline passes while the error is awaited", async () => {
    const scripts = { openai: { status: 503, latencyMs: 5_000 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts, timeoutMs: 300 });
    expect(outcome.reason).toBe("DEADLINE_EXCEEDED");
    expect(outcome.elapsedMs).toBeGreaterThanOrEqual(295);
    expect(outcome.elapsedMs).toBeLessThanOrEqual(300 + 50 + MACHINE_NOISE_MS);
  });

  it("is over in time when the deadline passes while it waits to ask again", async () => {
    const scripts = { openai: { status: 503, retryAfterMs: 400 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts, timeoutMs: 600 });
    // After the first wait too little is left for a second one.
    expect(outcome.reason).toBe("PROVIDER_OVERLOADED");
    expect(outcome.elapsedMs).toBeLessThanOrEqual(600 + 50 + MACHINE_NOISE_MS);
    expect(arrivalsOf(outcome.requestId)).toHaveLength(2);
  });

  const REFUSALS: readonly {
    readonly script: Script;
    readonly reason: string;
    readonly fallsBack: boolean;
  }[] = [
    { script: { status: 400 }, reason: "PROVIDER_INVALID_REQUEST", fallsBack: false },
    { script: { status: 422 }, reason: "PROVIDER_INVALID_REQUEST", fallsBack: false },
    { script: { status: 400, errorCode: "content_filter" }, reason: "CONTENT_FILTERED", fallsBack: false },
    {
      script: { status: 400, errorCode: "context_length_exceeded" },
      reason: "CONTEXT_TOO_LONG",
      fallsBack: true,
    },
    { script: { status: 401 }, reason: "PROVIDER_AUTHENTICATION", fallsBack: true },
    { script: { status: 402 }, reason: "PROVIDER_QUOTA_EXHAUSTED", fallsBack: true },
    { script: { status: 404 }, reason: "PROVIDER_MODEL_NOT_FOUND", fallsBack: true },
    {
      script: { status: 429, errorCode: "insufficient_quota", errorType: "insufficient_quota" },
      reason: "PROVIDER_QUOTA_EXHAUSTED",
      fallsBack: true,
    },
  ];

  it("asks once when asking again cannot help, and pays nothing", async () => {
    await inParallel(REFUSALS, async (refusal) => {
      const scripts = { openai: refusal.script };
      const alone = await bench().complete({ kind, model: bench().candidate(), scripts });
      expect(alone.reason).toBe(refusal.reason);
      expect(statesOf(alone)).toEqual([NOT_BILLED]);

      const [model, fallback] = [bench().candidate(), bench().candidate("deepseek")];
      const backed = await bench().complete({ kind, model, fallbackModels: [fallback], scripts });
      expect(backed.reason).toBe(refusal.fallsBack ? undefined : refusal.reason);
      expect(statesOf(backed)).toEqual(refusal.fallsBack ? [NOT_BILLED, SETTLED] : [NOT_BILLED]);
    });
  });
});

it("gives up after three attempts, none of which costs anything", async () => {
  const scripts = { openai: { status: 500, retryAfterMs: 1 } };
  const outcome = await bench().complete({ kind: "unary", model: bench().candidate(), scripts });
  expect(outcome.reason).toBe("PROVIDER_ERROR");
  expect(statesOf(outcome)).toEqual([NOT_BILLED, NOT_BILLED, NOT_BILLED]);
  expect(outcome.cost?.costUsd).toBe("0.000000000000");
});
