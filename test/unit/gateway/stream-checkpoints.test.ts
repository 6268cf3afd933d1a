import { expect, test } from "vitest";
import type { StreamDelta } from "../../../src/core/completion.ts";
import type { ReceivedOutput } from "../../../src/core/provider-error.ts";
import { ReceivedText } from "../../../src/gateway/received-text.ts";
import { settleOrphan } from "../../../src/gateway/settle-attempt.ts";
import { createStreamCheckpoints } from "../../../src/gateway/stream-checkpoints.ts";
import { sampleIntent } from "../../support/ledger-samples.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const text = (value: string): StreamDelta => ({ kind: "text", choiceIndex: 0, text: value });

test("the first deltas are reported at once, later ones at most once a second, with all before them", () => {
  const clock = createManualClock();
  const reports: ReceivedOutput[] = [];
  const output = new ReceivedText();
  const checkpoint = createStreamCheckpoints(clock, output, (received) => reports.push(received));
  const onDeltas = (deltas: readonly StreamDelta[]) => {
    output.addDeltas(deltas);
    checkpoint();
  };
  onDeltas([]);
  expect(reports).toEqual([]);
  onDeltas([text("é"), text("ab")]);
  for (let step = 0; step < 9; step++) {
    clock.advance(100);
    onDeltas([text("x")]);
  }
  expect(reports).toEqual([{ outputBytes: 4, deltas: 2 }]);
  clock.advance(100);
  const call = { kind: "tool_call", choiceIndex: 0, toolIndex: 0, id: "1" } as const;
  onDeltas([{ ...call, name: "find", argumentsDelta: "{}" }]);
  expect(reports[1]).toEqual({ outputBytes: 4 + 9 + 6, deltas: 12 });
});

test("an orphan is unknown, at the price of its intent, with what had arrived; without a price its cost is not known", () => {
  const priced = settleOrphan(sampleIntent(), { outputBytes: 400, deltas: 3 });
  expect(priced).toMatchObject({
    ...{ billingState: "unknown", usageSource: "estimated", outcome: "failed", errorReason: "INTERNAL" },
    ...{ flags: ["ORPHANED"], usage: { tokensIn: 10, tokensOut: 100 } },
    costPicoUsd: 10n * 250_000n + 100n * 2_000_000n,
  });
  const unpriced = settleOrphan(sampleIntent({ price: undefined }), { outputBytes: 0, deltas: 0 });
  expect(unpriced).toMatchObject({
    billingState: "unknown",
    costPicoUsd: undefined,
    usage: { tokensOut: 0 },
  });
});
