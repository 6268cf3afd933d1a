import { afterAll, beforeAll, expect, it } from "vitest";
import type { BillLine } from "../../simulator/bill.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { type FaultBench, startFaultBench } from "../support/fault-bench.ts";
import { expectLawL } from "../support/law-l.ts";

/** The judge of all tests here: it must find every way in which a bill and a ledger can differ. */

let bench: FaultBench;

beforeAll(async () => {
  bench = await startFaultBench();
  for (const kind of CALL_KINDS) {
    const scripts = [{}, { cutAfterTokens: 3 }, { status: 400 }];
    for (const script of scripts)
      await bench.complete({ kind, model: bench.candidate(), scripts: { openai: script } });
  }
});

afterAll(() => bench.close());

/** The same ledger beside another bill. */
function withBill(change: (lines: readonly BillLine[]) => readonly BillLine[]): FaultBench {
  return { ...bench, billed: async () => change(await bench.billed()) };
}

const changing =
  (which: (line: BillLine) => boolean, change: Partial<BillLine> | ((line: BillLine) => Partial<BillLine>)) =>
  (lines: readonly BillLine[]) =>
    lines.map((line) =>
      which(line) ? { ...line, ...(typeof change === "function" ? change(line) : change) } : line,
    );

it("the law holds for a ledger that is right", async () => {
  await expectLawL(bench, "thorough");
});

it.each<readonly [string, (lines: readonly BillLine[]) => readonly BillLine[]]>([
  ["a record that nobody billed", (lines) => lines.slice(1)],
  ["a call that is not on the ledger", (lines) => [...lines, ...lines.slice(0, 1)]],
  [
    "an output token",
    changing(
      ({ state }) => state === "completed",
      ({ tokensOut }) => ({ tokensOut: tokensOut + 1 }),
    ),
  ],
  ["a cached token", changing(({ state }) => state === "completed", { cachedTokensIn: 1 })],
  ["a call of another model", changing(({ state }) => state === "completed", { model: "gpt-5-nano" })],
  ["a completed call that was refused", changing(({ state }) => state === "completed", { state: "refused" })],
  [
    "a refused call that was completed",
    changing(({ state }) => state === "refused", { state: "completed", tokensIn: 5 }),
  ],
  [
    "an interrupted stream that gave more",
    changing(
      ({ state, stream }) => state === "interrupted" && stream,
      ({ tokensOut }) => ({ tokensOut: tokensOut + 1 }),
    ),
  ],
])("the law finds %s", async (_, change) => {
  await expect(expectLawL(withBill(change))).rejects.toThrow();
});
