import { beforeAll, describe, expect, test } from "vitest";
import { createCorrections } from "../../../src/pricing/corrections.ts";
import { loadGenaiPrices, type PriceCatalog } from "../../../src/pricing/genai-prices-source.ts";
import { operatorPrices } from "../../../src/pricing/operator-prices.ts";
import { createPriceBook, loadPriceBook, type VersionedPriceBook } from "../../../src/pricing/price-book.ts";

const NOW = new Date("2026-11-23T12:00:00Z");
const corrections = createCorrections();
let catalog: PriceCatalog;
let book: VersionedPriceBook;

beforeAll(async () => {
  catalog = await loadGenaiPrices();
  book = createPriceBook({
    catalog,
    corrections,
    operator: operatorPrices([
      { provider: "openai", model: "gpt-5-mini", input: "0.20", output: "1.60", valid_from: "2026-12-01" },
      { provider: "openai", model: "GPT-4.1", input: 1, output: 4 },
      { provider: "openai", model: "gpt-4.1-2025-04-14", input: 1.5, output: 6 },
      {
        provider: "deepseek",
        model: "deepseek-flash",
        input: 9,
        output: 9,
        window: { utc_start: "20:00", utc_end: "21:00" },
      },
      { provider: "huggingface", model: "Qwen/Qwen3-32B", input: 2, output: 2 },
      { provider: "house", model: "own-model", input: 0, output: 0 },
    ]),
    listed: [
      { provider: "openai", model: "gpt-5-mini" },
      { provider: "openai", model: "gpt-5-mini-2025-08-07" },
      { provider: "deepseek", model: "deepseek-v4-pro" },
      { provider: "openai", model: "unheard-of" },
    ],
  });
});

describe("a well-known model of each kind of provider", () => {
  test.each([
    ["openai", "gpt-5-mini", 250_000n],
    ["deepseek", "deepseek-flash", 150_000n],
    ["huggingface", "meta-llama/Llama-3.3-70B-Instruct:groq", 590_000n],
    ["anthropic", "claude-sonnet-4-5", 3_000_000n],
    ["gemini", "gemini-2.5-flash", 300_000n],
    ["bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", 3_000_000n],
    ["bedrock", "us.amazon.nova-lite-v1:0", 60_000n],
    ["mistral", "mistral-large-2512", 500_000n],
    ["groq", "llama-3.3-70b-versatile", 590_000n],
    ["together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", 880_000n],
    ["openrouter", "anthropic/claude-sonnet-4.5", 3_000_000n],
    ["azure-openai", "o4-mini", 1_100_000n],
    ["xai", "grok-4-0709", 3_000_000n],
    ["fireworks", "accounts/fireworks/models/gpt-oss-120b", 150_000n],
    ["openai", "text-embedding-3-small", 20_000n],
    ["azure-openai", "text-embedding-3-large", 130_000n],
    ["mistral", "mistral-embed", 100_000n],
    ["gemini", "gemini-embedding-001", 150_000n],
  ])("%s/%s has the price of the provider's own list", (provider, model, picoUsdPerToken) => {
    expect(inputPrice(provider, model)?.[1]).toBe(picoUsdPerToken);
  });

  test.each([["ollama"], ["vllm"]])("%s has none: it costs what the operator says", (provider) => {
    expect(inputPrice(provider, "llama3.3")).toBeUndefined();
  });
});

function inputPrice(provider: string, model: string, at: Date = NOW): [string, bigint] | undefined {
  const price = book.find({ provider, model, at });
  return price && [price.source, price.unitPrices.uncachedPicoUsdPerToken];
}

describe("the price in force", () => {
  test("is the operator's before corrections before the price list", () => {
    expect(inputPrice("openai", "gpt-4.1")).toEqual(["operator", 1_000_000n]);
    expect(inputPrice("deepseek", "deepseek-flash")).toEqual(["correction", 150_000n]);
    expect(inputPrice("openai", "gpt-5")).toEqual(["genai-prices@0.1.8", 1_250_000n]);
  });

  test("falls back to the next source when the operator's price is not in force", () => {
    expect(inputPrice("openai", "gpt-5-mini")).toEqual(["genai-prices@0.1.8", 250_000n]);
    expect(inputPrice("openai", "gpt-5-mini", new Date("2026-11-30T23:59:59.999Z"))).toEqual([
      "genai-prices@0.1.8",
      250_000n,
    ]);
    expect(inputPrice("openai", "gpt-5-mini", new Date("2026-12-01T00:00:00Z"))).toEqual([
      "operator",
      200_000n,
    ]);
    expect(inputPrice("deepseek", "deepseek-flash", new Date("2026-11-23T20:30:00Z"))).toEqual([
      "operator",
      9_000_000n,
    ]);
  });

  test("of a snapshot is the operator's own price of it, or else the price of its model", () => {
    expect(inputPrice("openai", "gpt-4.1-2025-04-14")).toEqual(["operator", 1_500_000n]);
    expect(inputPrice("openai", "gpt-5-mini-2025-08-07", new Date("2026-12-02"))).toEqual([
      "operator",
      200_000n,
    ]);
  });

  test("of an unpinned HuggingFace model is known only when the operator says so", () => {
    expect(inputPrice("huggingface", "Qwen/Qwen3-32B")).toEqual(["operator", 2_000_000n]);
    expect(inputPrice("huggingface", "Qwen/Qwen3-32B:groq")).toEqual(["genai-prices@0.1.8", 290_000n]);
    expect(inputPrice("huggingface", "Qwen/Qwen3-8B")).toBeUndefined();
  });

  test("may be zero, which is not the same as unknown", () => {
    expect(inputPrice("house", "own-model")).toEqual(["operator", 0n]);
    expect(inputPrice("house", "other-model")).toBeUndefined();
  });

  test("is one and the same object for as long as it is in force", () => {
    const find = (model: string, at: string) => book.find({ provider: "deepseek", model, at: new Date(at) });
    const monday = find("deepseek-v4-pro", "2026-11-23T02:00:00Z");
    expect(monday).toBeDefined();
    expect(find("deepseek-v4-pro", "2026-11-24T09:00:00Z")).toBe(monday);
    expect(find("deepseek-v4-pro", "2026-11-24T11:00:00Z")).not.toBe(monday);
    // Names of callers must not multiply prices: an alias has the price object of its model.
    expect(book.find({ provider: "openai", model: "gpt-5-chat-latest", at: NOW })).toBe(
      book.find({ provider: "openai", model: "gpt-5", at: NOW }),
    );
  });

  test("stays right while callers make names up", () => {
    const asked: string[] = [];
    const counting = createPriceBook({
      catalog: {
        lookUp: (name) => {
          asked.push(name.model);
          return catalog.lookUp(name);
        },
      },
    });
    const find = (model: string) => counting.find({ provider: "openai", model, at: NOW });
    find("gpt-5");
    find("gpt-5");
    expect(asked).toEqual(["gpt-5"]);
    expect(find("x".repeat(10_000))).toBeUndefined();
    for (let index = 0; index < 5_000; index += 1) expect(find(`made-up-${index}`)).toBeUndefined();
    expect(asked.length).toBe(5_001);
    // The oldest name was dropped and is looked up again; the newest is still known.
    expect(find("gpt-5")?.unitPrices.uncachedPicoUsdPerToken).toBe(1_250_000n);
    find("made-up-4999");
    expect(asked.length).toBe(5_002);
  });
});

describe("price ids", () => {
  test("name provider and model and stay the same from one process to the next", () => {
    const price = book.find({ provider: "openai", model: "gpt-5-mini", at: NOW });
    // A change of this id means that the content or its canonical form changed: old records keep the old id.
    expect(price?.priceId).toBe("openai/gpt-5-mini@f69bda431a4e");
  });

  test("differ when anything about the price does", () => {
    const base = { provider: "p", model: "m", input: "1", output: "2" } as const;
    const ids = [
      [base],
      [{ ...base, provider: "q" }],
      [{ ...base, model: "n" }],
      [{ ...base, input: "2", output: "1" }],
      [{ ...base, cache_read: "0.5" }],
      [{ ...base, cache_write: "0.5" }],
      [{ ...base, reasoning: "0.5" }],
      [{ ...base, valid_from: "2026-01-01" }],
      [{ ...base, valid_to: "2026-01-01" }],
      [{ ...base, window: { utc_start: "01:00", utc_end: "02:00" } }],
      [{ ...base, window: { utc_start: "01:00", utc_end: "02:00", days: ["mon" as const] } }],
      [{ ...base, tiers: [{ above_tokens_in: 5, input: 1, output: 2 }] }],
      [{ ...base, tiers: [{ above_tokens_in: 6, input: 1, output: 2 }] }],
    ].flatMap((prices) => operatorPrices(prices).map(({ price }) => price.priceId));
    ids.push(...operatorPrices([base], "demo").map(({ price }) => price.priceId));
    expect(new Set(ids).size).toBe(14);
    expect(operatorPrices([{ ...base, input: 1, output: "2.000" }])[0]?.price.priceId).toBe(ids[0]);
  });
});

describe("the lists", () => {
  test("list covers the models of the configuration and the operator's, each price once", () => {
    const models = book.list(NOW).map(({ provider, model, source }) => `${provider}/${model} ${source}`);
    expect(models).toEqual([
      "openai/gpt-5-mini genai-prices@0.1.8",
      "deepseek/deepseek-v4-pro correction",
      "openai/GPT-4.1 operator",
      "openai/gpt-4.1-2025-04-14 operator",
      "deepseek/deepseek-flash correction",
      "huggingface/Qwen/Qwen3-32B operator",
      "house/own-model operator",
    ]);
  });

  test("versions has past and future ones as well, each once", () => {
    const versions = book.versions();
    expect(new Set(versions.map(({ priceId }) => priceId)).size).toBe(versions.length);
    const ofPro = versions.filter(({ model }) => model === "deepseek-v4-pro");
    expect(
      ofPro.map(({ validFrom, window }) => `${validFrom?.toISOString().slice(0, 10)} ${window}`),
    ).toEqual([
      "undefined undefined",
      "2026-08-16 except 01:00-04:00, 06:00-10:00 UTC",
      "2026-08-16 01:00-04:00, 06:00-10:00 UTC",
      "2026-08-22 except Mon-Fri 01:00-04:00, 06:00-10:00 UTC",
      "2026-08-22 Mon-Fri 01:00-04:00, 06:00-10:00 UTC",
    ]);
    expect(versions.filter(({ model }) => model === "gpt-5-mini").map(({ source }) => source)).toEqual([
      "operator",
      "genai-prices@0.1.8",
    ]);
  });

  test("a book without any source knows nothing", async () => {
    const empty = createPriceBook({});
    expect(empty.find({ provider: "openai", model: "gpt-5", at: NOW })).toBeUndefined();
    expect(empty.list(NOW)).toEqual([]);
    const production = await loadPriceBook({});
    expect(production.find({ provider: "openai", model: "gpt-5", at: NOW })).toBeDefined();
    expect(production.versions()).toEqual([]);
  });
});
