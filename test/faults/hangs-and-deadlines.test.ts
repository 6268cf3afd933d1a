import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { BillingState } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Script } from "../../simulator/script.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { inParallel, pairs } from "../support/in-parallel.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { requestIdIn } from "../support/prompt.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const TIMEOUT_MS = 500;

/** Beside the table of `test/failures/`: what the provider sees. `hasty` ones get half a second for an answer, the others 30 s. */
const bench = useFaultBench({
  groups: {
    hasty: { profile: "openai", timeoutSeconds: TIMEOUT_MS / 1_000 },
    openai: { profile: "openai" },
    deepseek: { profile: "deepseek" },
  },
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
