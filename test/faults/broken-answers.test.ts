import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import { UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import { CALL_KINDS } from "../support/completion-client.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

/** Beside the table of `test/failures/`. */
const bench = useFaultBench();

/** As the tokenizer counts it, or by bytes while that is being loaded. */
const tokensOf = (text: string) => [BigInt(countTokens(text)), BigInt(text.length / 4)];

describe.each(CALL_KINDS)("a %s call", (kind) => {
  it("is complete and exact with characters split over many writes", async () => {
    const scripts = { openai: { fault: "splitUtf8" as const } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
    expect(outcome).toMatchObject({ reason: undefined, text: "Grüße, 你好, 🌍 señor, naïve Ω, привет 🚀" });
    expect(outcome.usage).toMatchObject({ source: UsageSource.REPORTED });
  });
});

it.each(["deepseek", "huggingface"])(
  "a stream of %s that is cut is an error with what came",
  async (group) => {
    const scripts = { [group]: { cutAfterTokens: 3, tokensOut: 8 } };
    const outcome = await bench().complete({ kind: "stream", model: bench().candidate(group), scripts });
    expect(outcome).toMatchObject({ reason: "PROVIDER_STREAM_CUT", text: "w00 w01 w02 " });
    expect(outcome.usage).toMatchObject({
      tokensOut: expect.toBeOneOf(tokensOf(outcome.text)),
      source: UsageSource.ESTIMATED,
    });
  },
);
