import { Code } from "@connectrpc/connect";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import { BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { inParallel, pairs } from "../support/in-parallel.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { requestIdIn } from "../support/prompt.ts";
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

/** When each call of a request was given up, in milliseconds from its arrival at the simulator. */
async function abortsOf(requestId: string): Promise<readonly (number | undefined)[]> {
  await bench().simulator.whenIdle();
  return bench()
    .simulator.requests.recent()
    .filter(({ body }) => requestIdIn(JSON.stringify(body)) === requestId)
    .filter(({ aborted }) => aborted)
    .map(({ abortedAfterMs }) => abortedAfterMs);
}

const HANGS: readonly Script[] = [
  { fault: "hang" },
  { fault: "hangAfterHeaders" },
  { fault: "stall", afterTokens: 0 },
  { keepAlives: 100, keepAliveIntervalMs: 50 },
];

describe("a call whose provider hangs, before its headers, after them or with keep-alives only", () => {
  it("ends at the provider's timeout, and the provider's socket with it", async () => {
    await inParallel(pairs(CALL_KINDS, HANGS), async ([kind, script]) => {
      const scripts = { openai: script };
      const outcome = await bench().complete({ kind, model: bench().candidate("hasty"), scripts });
      expect(outcome.reason).toBe("PROVIDER_TIMEOUT");
      expect(outcome.elapsedMs).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
      expect(outcome.elapsedMs).toBeLessThanOrEqual(TIMEOUT_MS + 250 + MACHINE_NOISE_MS);
      expect(outcome.attempts.map(({ billingState }) => billingState)).toEqual([BillingState.UNKNOWN]);
      expect(await abortsOf(outcome.requestId)).toEqual([expect.any(Number)]);
      expect((await abortsOf(outcome.requestId))[0]).toBeLessThanOrEqual(TIMEOUT_MS + 250 + MACHINE_NOISE_MS);
    });
  });

  it("is answered by the next provider", async () => {
    await inParallel(pairs(CALL_KINDS, HANGS), async ([kind, script]) => {
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
  });

  it("leaves the next provider a share of the deadline", async () => {
    await inParallel(pairs(CALL_KINDS, HANGS), async ([kind, script]) => {
      const [model, fallback] = [bench().candidate("openai"), bench().candidate("deepseek")];
      const scripts = { openai: script };
      const outcome = await bench().complete({
        ...{ kind, model, fallbackModels: [fallback], scripts, timeoutMs: 1_000 },
      });
      expect(outcome.reason).toBeUndefined();
      expect(outcome.provider).toMatch(/^deepseek/);
      expect((await abortsOf(outcome.requestId))[0]).toBeLessThanOrEqual(500 + MACHINE_NOISE_MS);
    });
  });

  it("ends at the caller's deadline of 1 s, and the provider's socket with it", async () => {
    const slow: readonly Script[] = [...HANGS, { tokensOut: 100, tokenDelayMs: 50 }];
    await inParallel(pairs(CALL_KINDS, slow), async ([kind, script]) => {
      const scripts = { openai: script };
      const model = bench().candidate("openai");
      const outcome = await bench().complete({ kind, model, scripts, timeoutMs: 1_000 });
      expect(outcome.reason).toBe("DEADLINE_EXCEEDED");
      expect(outcome.error?.code).toBe(Code.DeadlineExceeded);
      expect(outcome.elapsedMs).toBeGreaterThanOrEqual(995);
      expect(outcome.elapsedMs).toBeLessThanOrEqual(1_000 + 50 + MACHINE_NOISE_MS);
      expect((await abortsOf(outcome.requestId))[0]).toBeLessThanOrEqual(1_100 + MACHINE_NOISE_MS);
    });
  });

  it("is sent to nobody once the deadline has passed", async () => {
    await inParallel(CALL_KINDS, async (kind) => {
      const hang: Script = { fault: "hang" };
      const outcome = await bench().complete({
        ...{ kind, model: bench().candidate("openai"), timeoutMs: 400 },
        fallbackModels: [bench().candidate("deepseek"), bench().candidate("deepseek")],
        scripts: { openai: hang, deepseek: hang },
      });
      expect(outcome.reason).toBe("DEADLINE_EXCEEDED");
      expect(outcome.elapsedMs).toBeLessThanOrEqual(400 + 50 + MACHINE_NOISE_MS);
      // Half of 400 ms, half of the rest, and the rest.
      expect(await abortsOf(outcome.requestId)).toHaveLength(3);
    });
  });
});

it("a stream that stalls after its first tokens ends at the idle limit, without a second provider", async () => {
  const [model, fallback] = [bench().candidate("hasty"), bench().candidate("deepseek")];
  const scripts = { openai: { stallAfterTokens: 5, tokensOut: 20 } };
  const outcome = await bench().complete({ kind: "stream", model, fallbackModels: [fallback], scripts });
  expect(outcome.reason).toBe("PROVIDER_TIMEOUT");
  expect(outcome.text).toBe("w00 w01 w02 w03 w04 ");
  expect(outcome.elapsedMs).toBeLessThanOrEqual(IDLE_MS + 250 + MACHINE_NOISE_MS);
  const tokensOut = BigInt(countTokens(outcome.text));
  expect(outcome.attempts).toMatchObject([{ usage: { tokensOut, source: UsageSource.ESTIMATED } }]);
  expect(await abortsOf(outcome.requestId)).toHaveLength(1);
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
