import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { DrainEnd } from "../../src/core/telemetry.ts";
import { parseUsage } from "../../src/core/usage.ts";
import { priceAttempt } from "../../src/pricing/price-attempt.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { breaksWith } from "../support/recording-ledger.ts";
import { startSettlementBench } from "../support/settlement-bench.ts";

const SETTLED_WITHIN_MS = 250;
/** Half a second in all. */
const SLOW = { tokenDelayMs: 10, tokensOut: 50 };

let bench: Awaited<ReturnType<typeof startSettlementBench>>;
beforeEach(async () => {
  bench = await startSettlementBench({ cancelledStreams: "drain", maxSockets: 1, patient: true });
});
afterEach(async () => {
  expect(bench.drainErrors).toEqual([]);
  await bench.close();
});

const lastLine = () => bench.simulator.bill.lines.at(-1);
const whenDrained = () => expect.poll(() => bench.drains.active, { interval: 5, timeout: 5_000 }).toBe(0);

/** And metrics are told of every attempt once, of what is in force on the ledger. */
async function expectEnds(...ends: readonly DrainEnd[]): Promise<void> {
  const { telemetry, settlements, corrections } = bench;
  // A caller that has gone is not waited for until all is durable.
  await expect.poll(() => settlements.length, { interval: 5 }).toBe(telemetry.started.length);
  expect(telemetry.drainEnds).toEqual(ends);
  const inForce = new Map(
    [...settlements.map(({ outcome }) => outcome), ...corrections].map((outcome) => [
      outcome.intent.attemptId,
      outcome,
    ]),
  );
  const counted = new Map(telemetry.final.map((outcome) => [outcome.intent.attemptId, outcome]));
  expect(telemetry.final).toHaveLength(telemetry.started.length);
  for (const [attemptId, outcome] of counted) expect(outcome).toEqual(inForce.get(attemptId));
}

/** The provider finished its answer, and the correction says of it what its bill says. */
async function expectCorrectedToTheBill(): Promise<void> {
  await expectEnds("reported");
  const line = lastLine();
  const [corrected, ...more] = bench.corrections;
  expect(more).toEqual([]);
  expect(line).toMatchObject({ state: "completed" });
  const usage = parseUsage({ tokensIn: line?.tokensIn, tokensOut: line?.tokensOut });
  if (usage.kind !== "reported" || !corrected?.intent.price) throw new Error("unreachable");
  const { tokensIn, tokensOut } = usage.usage;
  expect(corrected).toMatchObject({
    ...{ usageSource: "reported", billingState: "settled", flags: [], usage: { tokensIn, tokensOut } },
    costPicoUsd: priceAttempt(usage.usage, corrected.intent.price).costPicoUsd,
    providerRequestId: line?.callId,
  });
  const first = bench.settlements.at(-1)?.outcome;
  const { intent, outcome, errorReason, latencyMs, timeToFirstTokenMs } = corrected;
  expect(first).toMatchObject({ intent, outcome, errorReason, latencyMs, timeToFirstTokenMs });
}

describe("at a provider that bills a cancelled call in full", () => {
  it("a stream whose caller leaves is settled at once, read to its end, and then corrected to the bill", async () => {
    const caller = new AbortController();
    let leftAtMs = 0;
    let deltas = 0;
    const durable = bench.settlement();
    const end = await bench.run({
      ...{ kind: "stream", personality: "huggingface", script: SLOW, signal: caller.signal },
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
    expect(end.endedAtMs - leftAtMs).toBeLessThanOrEqual(SETTLED_WITHIN_MS + MACHINE_NOISE_MS);
    expect(bench.drains.active).toBe(1);
    const settled = await durable;
    expect(settled.durableAtMs - leftAtMs).toBeLessThanOrEqual(SETTLED_WITHIN_MS + MACHINE_NOISE_MS);
    expect(settled.outcome).toMatchObject({ outcome: "cancelled", usageSource: "estimated" });
    expect(settled.outcome.usage?.tokensOut).toBeGreaterThanOrEqual(deltas);
    const delivered = deltas;
    await whenDrained();
    expect(deltas, "nothing is delivered after the caller left").toBe(delivered);
    expect(bench.simulator.requests.recent().at(-1)?.aborted).toBe(false);
    await expectCorrectedToTheBill();
  });

  it.each(["unary", "stream"] as const)("a %s call is at its deadline, too", async (kind) => {
    const script = kind === "unary" ? { latencyMs: 600, tokensOut: 9 } : SLOW;
    const end = await bench.run({ kind, personality: "huggingface", script, deadlineMs: 300 });
    expect(end.reason).toBe("DEADLINE_EXCEEDED");
    expect(end.endedAtMs - end.deadlineAtMs).toBeLessThanOrEqual(50 + MACHINE_NOISE_MS);
    expect(bench.settlements[0]?.outcome.billingState).toBe(kind === "unary" ? "unknown" : "settled");
    await whenDrained();
    await expectCorrectedToTheBill();
  });

  it("a stream is read on even if its caller had stopped to read", async () => {
    const caller = new AbortController();
    const gone = new Promise<void>((resolve) => caller.signal.addEventListener("abort", () => resolve()));
    const ended = bench.run({
      ...{ kind: "stream", personality: "huggingface", script: SLOW, signal: caller.signal },
      onDeltas() {
        setTimeout(() => caller.abort(), 50);
        return gone;
      },
    });
    expect((await ended).reason).toBe("CANCELLED");
    await whenDrained();
    await expectCorrectedToTheBill();
  });

  it.each([
    ["translated", false],
    ["relayed", true],
  ] as const)("a stream without a usage is corrected to the count of all of it, %s", async (_, relayed) => {
    const script = { ...SLOW, fault: "noUsage" as const };
    const { prompt } = await bench.run({
      ...{ kind: "stream", personality: "huggingface", script, deadlineMs: 250, relayed },
    });
    await whenDrained();
    await expectEnds("estimated");
    expect(lastLine()).toMatchObject({ state: "completed", tokensOut: 50 });
    const text = Array.from({ length: 50 }, (_, i) => `w${i.toString(36).padStart(2, "0")} `).join("");
    expect(bench.corrections).toMatchObject([
      {
        ...{ outcome: "cancelled", usageSource: "estimated", flags: [] },
        usage: { tokensIn: countTokens(prompt) + 6, tokensOut: countTokens(text) },
      },
    ]);
  });

  it("a call that the provider then refuses is corrected to nothing billed", async () => {
    const script = { latencyMs: 500, status: 429 };
    await bench.run({ kind: "unary", personality: "huggingface", script, deadlineMs: 200 });
    expect(bench.settlements[0]?.outcome.billingState).toBe("unknown");
    await whenDrained();
    await expectEnds("not_billed");
    expect(bench.corrections).toMatchObject([
      { billingState: "not_billed", costPicoUsd: 0n, usage: undefined, errorReason: "DEADLINE_EXCEEDED" },
    ]);
  });

  it("a call that waits for a socket when its caller leaves is never sent", async () => {
    const first = bench.run({ kind: "stream", personality: "huggingface", script: SLOW });
    await expect.poll(() => bench.simulator.requests.recent().length, { interval: 5 }).toBe(1);
    const caller = new AbortController();
    const settled = bench.settlement();
    const second = bench.run({ kind: "stream", personality: "huggingface", signal: caller.signal });
    setTimeout(() => caller.abort(), 50);
    expect((await second).reason).toBe("CANCELLED");
    expect((await settled).outcome).toMatchObject({ billingState: "not_billed", costPicoUsd: 0n });
    expect(bench.drains.active).toBe(0);
    expect((await first).reason).toBeUndefined();
    expect(bench.simulator.requests.recent()).toHaveLength(1);
    expect(bench.corrections).toEqual([]);
    await expectEnds();
  });

  it("a stream that the provider cuts is estimated, and there is nothing to correct", async () => {
    const script = { tokensOut: 20, cutAfterTokens: 6 };
    const end = await bench.run({ kind: "stream", personality: "huggingface", script });
    expect(end.reason).toBe("PROVIDER_STREAM_CUT");
    expect(bench.settlements.at(-1)?.outcome).toMatchObject({ usageSource: "estimated" });
    expect(bench.drains.active).toBe(0);
    expect(bench.corrections).toEqual([]);
    await expectEnds();
  });

  it("a drain ends with the process's grace, and what came until then is counted", async () => {
    const script = { tokenDelayMs: 10, tokensOut: 100_000 };
    await bench.run({ kind: "stream", personality: "huggingface", script, deadlineMs: 250 });
    const before = bench.settlements[0]?.outcome.usage?.tokensOut ?? 0;
    await bench.drains.close(200);
    expect(bench.drains.active).toBe(0);
    await expectEnds("closed");
    const [corrected] = bench.corrections;
    expect(corrected).toMatchObject({ usageSource: "estimated", outcome: "cancelled" });
    expect(corrected?.usage?.tokensOut).toBeGreaterThan(before);
    await bench.simulator.whenIdle();
    expect(lastLine()?.state).toBe("interrupted");
    // No other is taken on.
    await bench.run({ kind: "stream", personality: "huggingface", script, deadlineMs: 100 });
    expect(bench.drains.active).toBe(0);
    expect(bench.corrections).toHaveLength(1);
    await expectEnds("closed", "no_room");
  });
});

it("a drain whose outcome cannot be kept is told, and the estimate stays", async () => {
  const failure = new Error("the journal was closed");
  const refusing = await startSettlementBench({ cancelledStreams: "drain", correct: breaksWith(failure) });
  onTestFinished(() => refusing.close());
  await refusing.run({ kind: "stream", personality: "huggingface", script: SLOW, deadlineMs: 200 });
  await expect.poll(() => refusing.drains.active, { interval: 5, timeout: 5_000 }).toBe(0);
  expect(refusing.drainErrors).toEqual([failure]);
  expect(refusing.telemetry.drainEnds).toEqual(["failed"]);
  expect(refusing.telemetry.final).toEqual(refusing.settlements.map(({ outcome }) => outcome));
});
