import { describe, expect, it } from "vitest";
import type { NativeRequest } from "../../../src/core/completion.ts";
import type { GatewayError } from "../../../src/core/errors.ts";
import { fails } from "../../support/fake-provider.ts";
import { createHarness, DEEPSEEK, type Harness, HUGGINGFACE, OPENAI } from "../../support/gateway-harness.ts";

/** Which providers are asked for a request that not every one can be told. */

const native = (changes: Partial<NativeRequest>): NativeRequest => ({
  ...{ dialect: "openai-responses", text: "{}", body: {}, gatewayMembers: [], untranslatable: "all" },
  ...changes,
});

/** The second and the third provider have the Responses API. */
function harnessOf(): Harness {
  const harness = createHarness({ chain: [OPENAI, DEEPSEEK, HUGGINGFACE] });
  for (const provider of [harness.deepseek, harness.huggingface]) provider.dialects.add("openai-responses");
  return harness;
}

const refusalOf = (work: Promise<unknown>) =>
  work.then(
    () => expect.fail("expected a refusal"),
    (error: unknown) => error as GatewayError,
  );

describe("a request that cannot be translated", () => {
  it("is asked of the first provider that speaks its dialect", async () => {
    const harness = harnessOf();
    expect(await harness.complete({ native: native({}) })).toMatchObject(DEEPSEEK);
    expect(harness.openai.calls).toHaveLength(0);
  });

  it("falls back along those that do", async () => {
    const harness = harnessOf();
    harness.deepseek.plays(fails("PROVIDER_AUTHENTICATION"));
    expect(await harness.complete({ native: native({}) })).toMatchObject(HUGGINGFACE);
  });

  it("stays with one provider when it refers to what that one keeps", async () => {
    const harness = harnessOf();
    harness.deepseek.plays(fails("PROVIDER_AUTHENTICATION"));
    const error = await refusalOf(harness.complete({ native: native({ staysWithProvider: true }) }));
    expect(error.reason).toBe("PROVIDER_AUTHENTICATION");
    expect(harness.huggingface.calls).toHaveLength(0);
  });

  it("is refused by the name of its model when none does, and nothing is called or recorded", async () => {
    const harness = createHarness({ chain: [OPENAI] });
    const error = await refusalOf(harness.complete({ native: native({}) }));
    expect(error).toMatchObject({
      reason: "INVALID_REQUEST",
      message: 'No provider of the model "chain" has the Responses API.',
      fieldViolations: [{ field: "model" }],
    });
    expect(harness.timeline).toEqual([]);
  });
});

it("a request of which a part cannot be translated is refused by that part", async () => {
  const harness = createHarness({ chain: [OPENAI] });
  const part = native({ dialect: "openai-chat", untranslatable: ["messages[0].audio"] });
  const error = await refusalOf(harness.complete({ native: part }));
  expect(error.fieldViolations).toMatchObject([{ field: "messages[0].audio" }]);
  expect(await harness.complete({ native: { ...part, untranslatable: [] } })).toMatchObject(OPENAI);
});
