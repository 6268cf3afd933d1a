import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AttemptOutcome } from "../../src/core/ledger.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import {
  type BenchEnd,
  PATIENT_MS,
  type Settlement,
  startSettlementBench,
} from "../support/settlement-bench.ts";

const SETTLED_WITHIN_MS = 250;
const IDLE_MS = 200;
/** At once, in one process with their provider and their callers. */
const MANY = 40;
/** A token every 10 ms, for 10 seconds. */
const SLOW = { tokenDelayMs: 10, tokensOut: 1_000 };

let bench: Awaited<ReturnType<typeof startSettlementBench>>;
beforeAll(async () => {
  bench = await startSettlementBench({ cancelledStreams: "estimate", idleMs: IDLE_MS });
});
afterAll(() => bench.close());

/** From wall-clock milliseconds, which the simulator's bill has, to those of the monotonic clock. */
const toMonotonicMs = (epochMs: number) => epochMs - performance.timeOrigin;

function expectInTime({ durableAtMs }: Settlement, signalAtMs: number): void {
  expect(durableAtMs - signalAtMs).toBeLessThanOrEqual(SETTLED_WITHIN_MS + MACHINE_NOISE_MS);
}

/**
 * What came is what is billed: the whole input, and the output that was delivered, as the tokenizer counts them. On a
 * machine too busy for that it is made from bytes and says so.
 */
function expectCounted({ outcome }: Settlement, { prompt, text }: BenchEnd): void {
  expect(outcome).toMatchObject({ usageSource: "estimated", billingState: "settled" });
  expect(outcome.usage).toMatchObject(tokensOf(outcome, prompt, text));
  expect(outcome.usage?.tokensOut).toBeGreaterThan(0);
  expect(outcome.costPicoUsd).toBeGreaterThan(0n);
}

function tokensOf({ flags }: AttemptOutcome, prompt: string, text: string) {
  if (flags.length === 0) return { tokensIn: countTokens(prompt) + 6, tokensOut: countTokens(text) };
  expect(flags).toEqual(["ESTIMATED_BY_BYTES"]);
  return { tokensIn: Math.ceil(prompt.length / 4), tokensOut: text.length / 4 };
}

describe("a stream that ends before its end", () => {
  it("is settled in time also when it is the first one, and the tokenizer is not loaded", async () => {
    const caller = new AbortController();
    let leftAtMs = 0;
    const settled = bench.settlement();
    const onDeltas = () => {
      leftAtMs = performance.now();
      caller.abort();
      return undefined;
    };
    await bench.run({ kind: "stream", script: SLOW, signal: caller.signal, onDeltas });
    const settlement = await settled;
    expectInTime(settlement, leftAtMs);
    expect(settlement.outcome).toMatchObject({ usageSource: "estimated", billingState: "settled" });
    // From here on it is.
    expect(await bench.tokenizer.count(["Hello, world!"], PATIENT_MS)).toEqual([4]);
  });

  it("because its caller went away is settled by what came", async () => {
    const caller = new AbortController();
    let leftAtMs = 0;
    let deltas = 0;
    const settled = bench.settlement();
    const end = await bench.run({
      ...{ kind: "stream", script: SLOW, signal: caller.signal },
      onDeltas(batch) {
        deltas += batch.length;
        if (deltas >= 8 && !caller.signal.aborted) {
          leftAtMs = performance.now();
          caller.abort();
        }
        return undefined;
      },
    });
    expect(end.reason).toBe("CANCELLED");
    const settlement = await settled;
    expectInTime(settlement, leftAtMs);
    expectCounted(settlement, end);
    expect(settlement.outcome.outcome).toBe("cancelled");
    await bench.simulator.whenIdle();
    const line = bench.simulator.bill.lines.at(-1);
    expect(line?.state).toBe("interrupted");
    expect((line?.tokensOut ?? 0) - deltas).toBeLessThanOrEqual(250 / SLOW.tokenDelayMs);
  });

  it("at its deadline is settled by what came, while its caller waits", async () => {
    const settled = bench.settlement();
    const end = await bench.run({ kind: "stream", script: SLOW, deadlineMs: 300 });
    expect(end.reason).toBe("DEADLINE_EXCEEDED");
    expect(end.endedAtMs - end.deadlineAtMs).toBeLessThanOrEqual(50 + MACHINE_NOISE_MS);
    const settlement = await settled;
    expectInTime(settlement, end.deadlineAtMs);
    expectCounted(settlement, end);
    expect(settlement.outcome.outcome).toBe("cancelled");
  });

  it("because its provider cut it is settled by what came", async () => {
    const settled = bench.settlement();
    const script = { tokenDelayMs: 10, tokensOut: 20, cutAfterTokens: 6 };
    const end = await bench.run({ kind: "stream", script });
    expect(end).toMatchObject({ reason: "PROVIDER_STREAM_CUT", text: "w00 w01 w02 w03 w04 w05 " });
    const settlement = await settled;
    expectInTime(settlement, toMonotonicMs(bench.simulator.bill.lines.at(-1)?.endedAt ?? 0));
    expectCounted(settlement, end);
    expect(settlement.outcome.outcome).toBe("failed");
  });

  it("because its provider stalled is settled by what came", async () => {
    const settled = bench.settlement();
    let lastDeltaAtMs = 0;
    const end = await bench.run({
      ...{ kind: "stream", script: { tokensOut: 20, stallAfterTokens: 6 } },
      onDeltas() {
        lastDeltaAtMs = performance.now();
        return undefined;
      },
    });
    expect(end.reason).toBe("PROVIDER_TIMEOUT");
    const settlement = await settled;
    expectInTime(settlement, lastDeltaAtMs + IDLE_MS);
    expectCounted(settlement, end);
  });

  it("together with many others is settled in time like them", async () => {
    const caller = new AbortController();
    const before = bench.settlements.length;
    let began = 0;
    let leftAtMs = 0;
    const streams = Array.from({ length: MANY }, () => {
      let isFirst = true;
      return bench.run({
        ...{ kind: "stream", script: { tokenDelayMs: 50, tokensOut: 1_000 }, signal: caller.signal },
        onDeltas() {
          if (isFirst) began += 1;
          isFirst = false;
          if (began === MANY && leftAtMs === 0) {
            leftAtMs = performance.now();
            caller.abort();
          }
          return undefined;
        },
      });
    });
    await Promise.all(streams);
    await expect.poll(() => bench.settlements.length, { interval: 5 }).toBe(before + MANY);
    const durations = bench.settlements.slice(before).map(({ durableAtMs }) => durableAtMs - leftAtMs);
    expect(Math.max(...durations)).toBeLessThanOrEqual(SETTLED_WITHIN_MS + MACHINE_NOISE_MS);
  });
});

it("a unary call that is given up is unknown, with its input counted", async () => {
  const caller = new AbortController();
  const settled = bench.settlement();
  const ended = bench.run({ kind: "unary", script: { latencyMs: 5_000 }, signal: caller.signal });
  await expect.poll(() => bench.simulator.requests.recent().at(-1)?.aborted, { interval: 5 }).toBe(false);
  const leftAtMs = performance.now();
  caller.abort();
  const { prompt } = await ended;
  const settlement = await settled;
  expectInTime(settlement, leftAtMs);
  expect(settlement.outcome).toMatchObject({
    ...{ billingState: "unknown", usageSource: "estimated", outcome: "cancelled" },
    usage: tokensOf(settlement.outcome, prompt, ""),
  });
});

it("an answer whose provider says nothing of its usage is counted", async () => {
  const settled = bench.settlement();
  const { prompt } = await bench.run({ kind: "unary", script: { fault: "noUsage", tokensOut: 8 } });
  const settlement = await settled;
  const text = "w00 w01 w02 w03 w04 w05 w06 w07 ";
  expectCounted(settlement, { prompt, text, reason: undefined, endedAtMs: 0, deadlineAtMs: 0 });
});

it("what a provider says of its own failure is never counted as output", async () => {
  const errorMessage = "a long story of what went wrong, and why, and who is to blame for all of it";
  const settled = bench.settlement();
  const script = {
    tokensOut: 8,
    fault: "errorEvent",
    afterTokens: 2,
    tokenDelayMs: 5,
    errorMessage,
  } as const;
  const end = await bench.run({ kind: "stream", script });
  expect(end).toMatchObject({ reason: "PROVIDER_ERROR", text: "w00 w01 " });
  expectCounted(await settled, end);
});
