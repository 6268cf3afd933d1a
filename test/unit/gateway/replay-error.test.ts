import { expect, it } from "vitest";
import type { AttemptIntent } from "../../../src/core/ledger.ts";
import { toAttemptReport } from "../../../src/gateway/attempt-report.ts";
import { interruptedCall } from "../../../src/gateway/replay-error.ts";
import { settleOrphan } from "../../../src/gateway/settle-attempt.ts";
import { sampleIntent, sampleOutcome } from "../../support/ledger-samples.ts";

const orphan = (changes: Partial<AttemptIntent>) =>
  settleOrphan(sampleIntent(changes), { outputBytes: 40, deltas: 2 });

it("a call that was interrupted tells every attempt once, in order, those that were open as unknown", () => {
  const first = sampleOutcome({ attemptId: "first", ordinal: 1 });
  const second = sampleOutcome({ attemptId: "second", ordinal: 2 });
  // The second attempt was asked beside the third, and its outcome did not get to the disk.
  const orphans = [
    orphan({ attemptId: "third", ordinal: 3, earlierAttempts: [first, second].map(toAttemptReport) }),
    orphan({ attemptId: "second", ordinal: 2, earlierAttempts: [toAttemptReport(first)] }),
  ];
  const told = interruptedCall(orphans);
  expect(told).toMatchObject({ kind: "failed", reason: "REQUEST_OUTCOME_UNKNOWN", delivered: undefined });
  expect(told.kind === "failed" && told.attempts).toEqual([
    toAttemptReport(first),
    ...orphans.toReversed().map(toAttemptReport),
  ]);
  expect(told).toMatchObject({ attempts: [{}, { billingState: "unknown" }, { billingState: "unknown" }] });
});
