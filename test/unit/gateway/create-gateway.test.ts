import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hangs } from "../../support/fake-provider.ts";
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
  vi.useFakeTimers({ now: new Date("2026-11-23T12:00:00Z") });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the models of the gateway", () => {
  it("are the aliases and what stands behind them, with the prices in force", () => {
    const { gateway } = createHarness({ chain: [OPENAI, DEEPSEEK] });
    const models = gateway.models(principal());
    expect(models.map(({ name }) => name)).toEqual(["chain", "deepseek/deepseek-flash", "openai/gpt-5-mini"]);
    expect(models[0]?.chain).toMatchObject([
      { ...OPENAI, price: { provider: "openai", model: "gpt-5-mini" } },
      { ...DEEPSEEK, price: { provider: "deepseek" } },
    ]);
  });

  it("without a price are listed without one", () => {
    const { gateway } = createHarness({ chain: [{ provider: "openai", model: "gpt-99" }] });
    expect(gateway.models(principal())[0]?.chain).toEqual([
      { provider: "openai", model: "gpt-99", price: undefined },
    ]);
  });

  it("that a key may not use are not shown to it", () => {
    const { gateway } = createHarness({ chain: [OPENAI, HUGGINGFACE] });
    const models = gateway.models(principal({ allowedModels: ["openai/gpt-5-mini"] }));
    expect(models.map(({ name, chain }) => [name, chain.length])).toEqual([
      ["chain", 1],
      ["openai/gpt-5-mini", 1],
    ]);
  });
});

describe("the number of active completions", () => {
  it("goes up and down with them, and idle() waits for the last", async () => {
    const { gateway, openai, complete } = createHarness({ chain: [OPENAI] });
    openai.plays(hangs(), hangs());
    await gateway.idle();
    const first = complete({ deadlineMs: 1_000 });
    const second = complete({ deadlineMs: 2_000 });
    first.catch(() => {});
    second.catch(() => {});
    expect(gateway.active).toBe(2);
    let idle = false;
    const waiting = gateway.idle().then(() => {
      idle = true;
    });
    await failureOf(first);
    expect([gateway.active, idle]).toEqual([1, false]);
    await failureOf(second);
    await waiting;
    expect([gateway.active, idle]).toEqual([0, true]);
  });

  it("falls also when a request is refused at the door", async () => {
    const { gateway, complete } = createHarness();
    await expect(inFakeTime(complete({ model: "nobody-knows" }))).rejects.toMatchObject({
      reason: "MODEL_NOT_FOUND",
    });
    expect(gateway.active).toBe(0);
  });
});

describe("a new routing", () => {
  it("holds for the next completion, and those that began before end with what they began with", async () => {
    const harness = createHarness({ chain: [OPENAI, DEEPSEEK] });
    const { gateway, openai, deepseek, complete } = harness;
    openai.plays(hangs());
    const before = complete({ deadlineMs: 2_000 });
    await vi.advanceTimersByTimeAsync(0);
    const next = createHarness({ chain: [DEEPSEEK] });
    let replaced = false;
    const replacing = gateway.replaceRouting(next.routing).then(() => {
      replaced = true;
    });
    expect((await inFakeTime(complete())).provider).toBe("deepseek");
    expect(next.deepseek.calls).toHaveLength(1);
    expect([replaced, gateway.active]).toEqual([false, 1]);

    expect((await inFakeTime(before)).provider).toBe("deepseek");
    expect(deepseek.calls).toHaveLength(1);
    await replacing;
    expect([replaced, gateway.active]).toEqual([true, 0]);
    expect(gateway.models(principal()).map(({ name }) => name)).toEqual(["chain", "deepseek/deepseek-flash"]);
  });
});
