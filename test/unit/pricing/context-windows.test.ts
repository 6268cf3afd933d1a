import { beforeAll, describe, expect, it } from "vitest";
import type { ContextWindows } from "../../../src/core/context-windows.ts";
import { createContextWindows } from "../../../src/pricing/context-windows.ts";
import { createCorrections } from "../../../src/pricing/corrections.ts";
import { loadGenaiPrices, type PriceCatalog } from "../../../src/pricing/genai-prices-source.ts";

let catalog: PriceCatalog;
beforeAll(async () => {
  catalog = await loadGenaiPrices();
});

const windowsWith = (operator: Readonly<Record<string, number>> = {}): ContextWindows =>
  createContextWindows({
    operator: new Map(Object.entries(operator)),
    corrections: createCorrections(),
    catalog,
  });

describe("the context window of a model", () => {
  it.each([
    ["openai", "gpt-5-mini", 400_000],
    ["openai", "GPT-5-mini-2025-08-07", 400_000],
    ["deepseek", "deepseek-flash", 1_000_000],
    ["anthropic", "claude-haiku-4-5", 200_000],
    ["huggingface", "meta-llama/Llama-3.3-70B-Instruct:groq", 131_072],
  ])("is what the bundled list says of %s/%s", (provider, model, tokens) => {
    expect(windowsWith().of({ provider, model })).toBe(tokens);
  });

  it.each([
    ["openai", "gpt-unheard-of"],
    ["house", "gpt-5-mini"],
    // The router of HuggingFace chooses the partner, and nobody knows which one.
    ["huggingface", "meta-llama/Llama-3.3-70B-Instruct"],
    // A deployment has any name.
    ["azure-openai", "gpt-5-mini"],
  ])("is unknown for %s/%s, of which the list does not tell", (provider, model) => {
    expect(windowsWith().of({ provider, model })).toBeUndefined();
  });

  it("is what the operator says, whatever the list says", () => {
    const windows = windowsWith({ "openai/gpt-5-mini": 32_000, "house/Llama-70b": 131_072 });
    expect(windows.of({ provider: "openai", model: "gpt-5-mini" })).toBe(32_000);
    expect(windows.of({ provider: "openai", model: "gpt-5-mini-2025-08-07" })).toBe(32_000);
    expect(windows.of({ provider: "house", model: "llama-70b" })).toBe(131_072);
    expect(windows.of({ provider: "openai", model: "gpt-5-nano" })).toBe(400_000);
  });
});
