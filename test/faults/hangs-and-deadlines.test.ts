import { describe, expect, it } from "vitest";
import { BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { requestIdIn } from "../support/fault-bench.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const TIMEOUT_MS = 500;
const IDLE_MS = 400;

/** `hasty` providers get half a second for an answer, the others 30 s. */
const bench = useFaultBench({
  groups: {
    hasty: { profile: "openai", timeoutSeconds: TIMEOUT_MS / 1_000 },
    openai: { profile: "openai" },
    deepseek: { profile: "deepseek" },
  },
  env: { STREAM_IDLE_TIMEOUT: String(IDLE_MS / 1_000) },
});

/** The calls of a request as the simulator saw them, in order. */
function seenOf(requestId: string) {
  return bench()
    .simulator.requests.recent()
    .filter(({ body }) => requestIdIn(JSON.stringify(body)) === requestId);
}

const HANGS: readonly Script[] = [
  { fault: "hang" },
  { fault: "hangAfterHeaders" },
  { fault: "stall", afterTokens: 0 },
  { keepAlives: 100, keepAliveIntervalMs: 50 },
];

describe.each(CALL_KINDS)("a %s call whose provider hangs", (kind) => {
  it.each(HANGS)("ends at the provider's timeout: %j", async (script) => {
    const scripts = { openai: script };
    const outcome = await bench().complete({ kind, model: bench().candidate("hasty"), scripts });
    expect(outcome.reason).toBe("PROVIDER_TIMEOUT");
    expect(outcome.elapsedMs).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
    expect(outcome.elapsedMs).toBeLessThanOrEqual(TIMEOUT_MS + 250 + MACHINE_NOISE_MS);
    expect(outcome.attempts.map(({ billingState }) => billingState)).toEqual([BillingState.UNKNOWN]);
    const [seen, ...more] = seenOf(outcome.requestId);
    expect(more).toEqual([]);
    expect(seen?.abortedAfterMs).toBeLessThanOrEqual(TIMEOUT_MS + 250 + MACHINE_NOISE_MS);
  });

  it.each(HANGS)("is answered by the next provider: %j", async (script) => {
    const [model, fallback] = [bench().candidate("hasty"), bench().candidate("deepseek")];
    const scripts = { openai: script };
    const outcome = await bench().complete({ kind, model, fallbackModels: [fallback], scripts });
    expect(outcome.reason).toBeUndefined();
    expect(outcome.provider).toMatch(/^deepseek/);
    expect(outcome.elapsedMs).toBeLessThanOrEqual(TIMEOUT_MS + 250 + MACHINE_NOISE_MS);
    const states = outcome.attempts.map(({ billingState }) => billingState);
    expect(states).toEqual([BillingState.UNKNOWN, BillingState.SETTLED]);
    // The cost of the attempt that failed is part of the request's.
    expect(outcome.cost?.estimated).toBe(true);
  });

  it("is answered by the next provider within the deadline, of which the first one gets only a share", async () => {
    const [model, fallback] = [bench().candidate("openai"), bench().candidate("deepseek")];
    const scripts = { openai: { fault: "hang" as const } };
    const outcome = await bench().complete({
      ...{ kind, model, fallbackModels: [fallback], scripts, timeoutMs: 1_000 },
    });
    expect(outcome.reason).toBeUndefined();
    expect(outcome.provider).toMatch(/^deepseek/);
    const [seen] = seenOf(outcome.requestId);
    expect(seen?.abortedAfterMs).toBeLessThanOrEqual(500 + MACHINE_NOISE_MS);
  });

  it.each<Script>([{ fault: "hang" }, { fault: "hangAfterHeaders" }, { tokensOut: 100, tokenDelayMs: 50 }])(
    "ends at the caller's deadline of 1 s, and the provider's socket with it: %j",
    async (script) => {
      const scripts = { openai: script };
      const outcome = await bench().complete({
        ...{ kind, model: bench().candidate("openai"), scripts, timeoutMs: 1_000 },
      });
      expect(outcome.reason).toBe("DEADLINE_EXCEEDED");
      expect(outcome.elapsedMs).toBeGreaterThanOrEqual(995);
      expect(outcome.elapsedMs).toBeLessThanOrEqual(1_000 + 50 + MACHINE_NOISE_MS);
      const [seen] = seenOf(outcome.requestId);
      expect(seen?.abortedAfterMs).toBeLessThanOrEqual(1_100 + MACHINE_NOISE_MS);
    },
  );

  it("is not sent to the next provider once the deadline has passed", async () => {
    const [model, fallback] = [bench().candidate("openai"), bench().candidate("deepseek")];
    const scripts = { openai: { fault: "hang" as const }, deepseek: { fault: "hang" as const } };
    const outcome = await bench().complete({
      ...{ kind, model, fallbackModels: [fallback, bench().candidate("deepseek")], scripts, timeoutMs: 400 },
    });
    expect(outcome.reason).toBe("DEADLINE_EXCEEDED");
    expect(outcome.elapsedMs).toBeLessThanOrEqual(400 + 50 + MACHINE_NOISE_MS);
    // Half of 400 ms, half of the rest, and the rest.
    expect(outcome.attempts.map(({ provider }) => provider.split("-")[0])).toEqual([
      ...["openai", "deepseek", "deepseek"],
    ]);
  });
});

it("a stream that stalls after its first tokens ends at the idle limit, without a second provider", async () => {
  const [model, fallback] = [bench().candidate("hasty"), bench().candidate("deepseek")];
  const scripts = { openai: { stallAfterTokens: 5, tokensOut: 20 } };
  const outcome = await bench().complete({ kind: "stream", model, fallbackModels: [fallback], scripts });
  expect(outcome.reason).toBe("PROVIDER_TIMEOUT");
  expect(outcome.text).toBe("w00 w01 w02 w03 w04 ");
  expect(outcome.elapsedMs).toBeLessThanOrEqual(IDLE_MS + 250 + MACHINE_NOISE_MS);
  expect(outcome.attempts).toMatchObject([{ usage: { tokensOut: 5n, source: UsageSource.ESTIMATED } }]);
  expect(seenOf(outcome.requestId)).toHaveLength(1);
});

it("a unary answer that stalls half-way is given up, and the next provider answers", async () => {
  const [model, fallback] = [bench().candidate("hasty"), bench().candidate("deepseek")];
  const scripts = { openai: { stallAfterTokens: 5 } };
  const outcome = await bench().complete({ kind: "unary", model, fallbackModels: [fallback], scripts });
  expect(outcome.provider).toMatch(/^deepseek/);
  expect(outcome.text).toBe("w00 w01 w02 w03 w04 w05 w06 w07 w08 w09 w0a w0b w0c w0d w0e w0f ");
  expect(outcome.elapsedMs).toBeLessThanOrEqual(TIMEOUT_MS + 250 + MACHINE_NOISE_MS);
});

it("a slow but steady stream outlives the limit for its first token", async () => {
  const scripts = { openai: { tokensOut: 10, tokenDelayMs: 100 } };
  const outcome = await bench().complete({ kind: "stream", model: bench().candidate("hasty"), scripts });
  expect(outcome.reason).toBeUndefined();
  expect(outcome.elapsedMs).toBeGreaterThan(TIMEOUT_MS);
});
