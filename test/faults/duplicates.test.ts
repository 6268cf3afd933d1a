import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { CALL_KINDS } from "../support/completion-client.ts";
import { startCrashBench } from "../support/crash/crash-bench.ts";
import { openCrashLane } from "../support/crash/crash-lane.ts";
import { type FaultBench, startFaultBench } from "../support/fault-bench.ts";
import { inBatches } from "../support/in-parallel.ts";
import { expectLawL } from "../support/law-l.ts";
import { createRandom } from "../support/ledger-samples.ts";

const TIMES = 10;
const REQUESTS = 40;
const AT_ONCE = 8;

/** Lines of the bill that belong to the request. */
const billedTimes = (bench: FaultBench, requestId: string) =>
  bench.simulator.bill.lines.filter(({ reference }) => reference === requestId).length;

describe("a request id", () => {
  it("that comes ten times at once, under load, is one provider call, one charge and one answer", async () => {
    const bench = await startFaultBench({ groups: { openai: { profile: "openai", count: 2 } } });
    const models = { unary: bench.candidate(), stream: bench.candidate() };
    const kinds = Array.from({ length: REQUESTS }, (_, index) => CALL_KINDS[index % 2] ?? "unary");
    await inBatches(AT_ONCE, kinds, async (kind) => {
      const requestId = randomUUID();
      const scripts = { openai: { tokensOut: 20, tokenDelayMs: 2 } };
      const call = { kind, requestId, model: models[kind], scripts };
      const outcomes = await Promise.all(Array.from({ length: TIMES }, () => bench.complete(call)));
      expect(outcomes.map(({ reason }) => reason)).toEqual(outcomes.map(() => undefined));
      expect(new Set(outcomes.map(({ text }) => text)).size).toBe(1);
      expect(new Set(outcomes.map(({ attempts }) => attempts[0]?.attemptId)).size).toBe(1);
      // And once more, after the answer.
      expect((await bench.complete(call)).text).toBe(outcomes[0]?.text);
      expect(billedTimes(bench, requestId)).toBe(1);
    });
    await expectLawL(bench, "thorough");
    await bench.close();
  }, 60_000);

  it("that was answered before the gateway was killed is answered the same by the next one, and not charged again", async () => {
    const bench = await startCrashBench();
    const lane = await openCrashLane(bench, { name: "d", random: createRandom(22) });
    await lane.start();
    await lane.loadAndKill(0, { phase: "load", sight: "answer", nth: 40, delayMs: 0 }, 20_000);
    await lane.start();
    const before = lane.evidence(0);
    const answered = before.outcomes.filter(({ reason }) => reason === undefined);
    const lines = (await before.billed()).length;
    for (const outcome of answered) {
      const again = await lane.repeat(outcome.requestId);
      expect(again.text).toBe(outcome.text);
      expect(again.attempts.map(({ attemptId }) => attemptId)).toEqual(
        outcome.attempts.map(({ attemptId }) => attemptId),
      );
    }
    expect((await before.billed()).length).toBe(lines);
    await expectLawL(lane.evidence(0));
    expect(await lane.stop()).toBe(0);
    await lane.close();
    await bench.close();
  }, 120_000);
});
