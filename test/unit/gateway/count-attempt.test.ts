import { describe, expect, it } from "vitest";
import { ProviderError, type ReceivedOutput } from "../../../src/core/provider-error.ts";
import { countAttempt, maxCountMs } from "../../../src/gateway/count-attempt.ts";
import { LostRaceError } from "../../../src/gateway/lost-race.ts";
import { ReceivedText } from "../../../src/gateway/received-text.ts";
import type { AttemptResult } from "../../../src/gateway/settle-attempt.ts";
import type { UsageEstimator } from "../../../src/pricing/usage-estimator.ts";
import { usageOf } from "../../support/fake-provider.ts";
import { inputOf, userMessage } from "../../support/provider-calls.ts";

const SOMETHING: ReceivedOutput = { outputBytes: 5, deltas: 2 };
const failed = (received?: ReceivedOutput): AttemptResult => ({
  kind: "failed",
  error: new ProviderError("PROVIDER_TIMEOUT", "scripted", { billing: "maybe_billed", received }),
});
const endedBy = (reason: "CANCELLED" | "DEADLINE_EXCEEDED") =>
  AbortSignal.abort(new ProviderError(reason, "scripted", { billing: "maybe_billed" }));
const RUNNING = new AbortController().signal;

describe("a count", () => {
  it("is short while somebody waits, and never as long as an outcome may take to the ledger", () => {
    expect(maxCountMs(failed(SOMETHING), endedBy("CANCELLED"))).toBe(150);
    expect(maxCountMs(failed(), endedBy("CANCELLED"))).toBe(150);
    expect(maxCountMs(failed(SOMETHING), RUNNING)).toBe(150);
    expect(maxCountMs(failed(), RUNNING)).toBe(30);
    expect(maxCountMs(failed(SOMETHING), endedBy("DEADLINE_EXCEEDED"))).toBe(15);
    expect(maxCountMs(failed(), AbortSignal.abort(new LostRaceError()))).toBe(15);
  });

  it("is made of the input and the text that was kept, and only where the provider's is missing", async () => {
    const asked: Parameters<UsageEstimator["estimate"]>[] = [];
    const estimator: UsageEstimator = {
      warmUp() {},
      estimate: async (...question) => {
        asked.push(question);
        return { tokensIn: 7, tokensOut: 3 };
      },
    };
    const output = new ReceivedText();
    output.add("Hello");
    const input = inputOf([userMessage("Hi")]);
    const countOf = (result: AttemptResult) => countAttempt(estimator, { input, output, result, maxMs: 150 });
    expect(await countOf(failed(SOMETHING))).toEqual({ tokensIn: 7, tokensOut: 3 });
    expect(asked).toEqual([[{ input, output: { text: "Hello", outputBytes: 5 } }, 150]]);
    const reported = new ProviderError("CANCELLED", "scripted", {
      ...{ billing: "maybe_billed", usage: usageOf(1, 1) },
    });
    const refused = new ProviderError("PROVIDER_UNREACHABLE", "scripted", { billing: "not_billed" });
    for (const error of [reported, refused]) expect(await countOf({ kind: "failed", error })).toBeUndefined();
    expect(asked).toHaveLength(1);
  });
});
