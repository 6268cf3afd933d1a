import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { fails } from "../../support/fake-provider.ts";
import {
  createHarness,
  DEEPSEEK,
  failureOf,
  HUGGINGFACE,
  inFakeTime,
  OPENAI,
} from "../../support/gateway-harness.ts";
import { principal } from "../../support/principals.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a key with an allow-list", () => {
  it("is refused a model that is not on it, before anything is opened, sent or admitted", async () => {
    const admit = vi.fn(() => Promise.resolve({ release: () => {} }));
    const harness = createHarness({ limiter: { admit } });
    const caller = principal({ allowedModels: ["openai/gpt-5-mini"] });
    const work = harness.complete({ principal: caller, model: "deepseek/deepseek-flash" });
    await expect(work).rejects.toMatchObject({ reason: "MODEL_NOT_ALLOWED" });
    await expect(work).rejects.toBeInstanceOf(GatewayError);
    expect(admit).not.toHaveBeenCalled();
    expect(harness.timeline).toEqual([]);
  });

  it("never spends on a fallback that is not on it, though the requested model is", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK, HUGGINGFACE] });
    harness.openai.plays(fails("PROVIDER_TIMEOUT"));
    const caller = principal({
      allowedModels: ["openai/gpt-5-mini", "huggingface/meta-llama/Llama-3.3-70B-Instruct:groq"],
    });
    expect(await inFakeTime(harness.complete({ principal: caller }))).toMatchObject(HUGGINGFACE);
    expect(harness.deepseek.calls).toHaveLength(0);
  });

  it("never spends on a fallback of the default chain that is not on it", async () => {
    const harness = createHarness({ defaultChain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails("PROVIDER_TIMEOUT"));
    const caller = principal({ allowedModels: ["gpt-5-mini", "openai/gpt-5-mini"] });
    const error = await failureOf(harness.complete({ principal: caller, model: "gpt-5-mini" }));
    expect(error.reason).toBe("PROVIDER_TIMEOUT");
    expect(harness.deepseek.calls).toHaveLength(0);
  });

  it("is refused a fallback that it names and the list does not, before anything is spent", async () => {
    const harness = createHarness();
    const caller = principal({ allowedModels: ["openai/gpt-5-mini"] });
    const call = {
      principal: caller,
      model: "openai/gpt-5-mini",
      fallbackModels: ["deepseek/deepseek-flash"],
    };
    await expect(harness.complete(call)).rejects.toMatchObject({ reason: "MODEL_NOT_ALLOWED" });
    expect(harness.openai.calls).toHaveLength(0);
    expect(harness.deepseek.calls).toHaveLength(0);
  });

  it("may use all that stands behind an alias that is on it", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    harness.openai.plays(fails("PROVIDER_TIMEOUT"));
    const caller = principal({ allowedModels: ["chain"] });
    expect(await inFakeTime(harness.complete({ principal: caller }))).toMatchObject(DEEPSEEK);
  });
});

describe("an unknown model", () => {
  it("is MODEL_NOT_FOUND, before anything is opened or sent", async () => {
    const harness = createHarness();
    await expect(harness.complete({ model: "claude-opus" })).rejects.toMatchObject({
      reason: "MODEL_NOT_FOUND",
    });
    expect(harness.timeline).toEqual([]);
  });
});
