import { expect, it } from "vitest";
import { AttemptOutcome } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { CALL_KINDS, type CallKind } from "../support/completion-client.ts";
import { inParallel, pairs } from "../support/in-parallel.ts";
import { expectLawL } from "../support/law-l.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { requestIdIn } from "../support/prompt.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const bench = useFaultBench({ groups: { openai: { profile: "openai" }, deepseek: { profile: "deepseek" } } });

const ABORTS = 100;
const AT_ONCE = 10;
/** A call left to itself takes 60 to 210 ms; aborts come within 250 ms, so that some come too late. */
const TOKENS = 30;
const MAX_ABORT_AFTER_MS = 250;

/** Numbers in [0, 1), the same ones in every run (xorshift32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

interface Abort {
  readonly kind: CallKind;
  readonly model: string;
  readonly latencyMs: number;
  readonly tokenDelayMs: number;
  readonly abortAfterMs: number;
}

/** Calls and goes away. Returns when, on the clock of the simulator, unless the answer was there before. */
async function callAndAbort(
  abort: Abort,
): Promise<{ readonly requestId: string; readonly leftAt: number | undefined }> {
  const { kind, model, latencyMs, tokenDelayMs, abortAfterMs } = abort;
  const controller = new AbortController();
  let leftAt: number | undefined;
  const timer = setTimeout(() => {
    leftAt = Date.now();
    controller.abort();
  }, abortAfterMs);
  const outcome = await bench().complete({
    ...{ kind, model, signal: controller.signal, mayBeLost: true },
    scripts: { openai: { latencyMs, tokenDelayMs, tokensOut: TOKENS } },
  });
  clearTimeout(timer);
  return { requestId: outcome.requestId, leftAt: outcome.error ? leftAt : undefined };
}

it("closes the provider's socket within 250 ms of the caller's abort, at 100 random points", async () => {
  const random = createRandom(20_261_123);
  const models = CALL_KINDS.map(() => bench().candidate());
  const aborts = Array.from({ length: ABORTS }, (_, index): Abort => {
    const kind = CALL_KINDS[index % 2] ?? "unary";
    return {
      ...{ kind, model: models[index % 2] ?? "", latencyMs: Math.floor(random() * 60) },
      ...{ tokenDelayMs: 2 + Math.floor(random() * 3), abortAfterMs: random() * MAX_ABORT_AFTER_MS },
    };
  });
  const left = new Map<string, number | undefined>();
  for (let start = 0; start < ABORTS; start += AT_ONCE) {
    const ended = await inParallel(aborts.slice(start, start + AT_ONCE), callAndAbort);
    for (const { requestId, leftAt } of ended) left.set(requestId, leftAt);
  }
  await bench().simulator.whenIdle();
  let closed = 0;
  for (const { body, startedAt, abortedAfterMs } of bench().simulator.requests.recent()) {
    const leftAt = left.get(requestIdIn(JSON.stringify(body)) ?? "");
    if (leftAt === undefined || abortedAfterMs === undefined) continue;
    closed += 1;
    expect(startedAt + abortedAfterMs - leftAt).toBeLessThanOrEqual(250 + MACHINE_NOISE_MS);
  }
  // Most of the aborts came in time; of these every one was passed on.
  expect(closed).toBeGreaterThan(ABORTS / 3);
  const { matched } = await expectLawL(bench());
  const cancelled = matched.filter(({ record }) => record.outcome === AttemptOutcome.CANCELLED);
  expect(cancelled.length).toBeGreaterThanOrEqual(closed);
  const aborted = matched.filter(({ line }) => line.clientAbortedAfterMs !== undefined);
  expect(aborted.every(({ record }) => record.outcome === AttemptOutcome.CANCELLED)).toBe(true);
});

it("is neither sent again nor to the next provider when its caller has left", async () => {
  await inParallel(pairs(CALL_KINDS, ["hang", "backoff"] as const), async ([kind, where]) => {
    const controller = new AbortController();
    const script = where === "hang" ? { fault: "hang" as const } : { status: 429, retryAfterMs: 900 };
    const call = bench().complete({
      ...{ kind, model: bench().candidate(), signal: controller.signal, text: `leaves=${kind}-${where}` },
      fallbackModels: [bench().candidate("deepseek")],
      scripts: { openai: script },
    });
    const seen = () =>
      bench()
        .simulator.requests.recent()
        .filter(({ body }) => JSON.stringify(body).includes(`leaves=${kind}-${where}`));
    await expect.poll(() => seen().length, { interval: 5, timeout: 5_000 }).toBe(1);
    controller.abort();
    const { reason, requestId } = await call;
    expect(reason).toBe("client saw Canceled");
    // The line of a request is written when nothing is done for it any more.
    await expect.poll(() => bench().gateway.output(), { interval: 5, timeout: 600 }).toContain(requestId);
    expect(seen()).toHaveLength(1);
  });
});
