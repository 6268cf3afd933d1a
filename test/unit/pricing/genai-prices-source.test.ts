import { readFileSync } from "node:fs";
import { calcPrice, findProvider, type ModelInfo } from "@pydantic/genai-prices";
import { beforeAll, describe, expect, test } from "vitest";
import type { UnitPrices } from "../../../src/core/price.ts";
import { parseUsage } from "../../../src/core/usage.ts";
import {
  GENAI_PRICES_SOURCE,
  loadGenaiPrices,
  type PriceCatalog,
  toCatalogEntry,
} from "../../../src/pricing/genai-prices-source.ts";
import { findModel } from "../../../src/pricing/match-model.ts";
import { priceAttempt } from "../../../src/pricing/price-attempt.ts";
import { isInForce, type PriceVersion } from "../../../src/pricing/price-version.ts";

const PARTNERS = [
  "cerebras",
  "fireworks-ai",
  "groq",
  "hyperbolic",
  "nebius",
  "novita",
  "nscale",
  "ovhcloud",
  "publicai",
  "sambanova",
  "together",
];
const PROVIDERS = ["openai", "deepseek", ...PARTNERS.map((partner) => `huggingface_${partner}`)];

function modelsOf(providerId: string): readonly ModelInfo[] {
  const provider = findProvider({ providerId });
  if (provider?.id !== providerId) throw new Error(`no provider ${providerId}`);
  return provider.models;
}

function unitPricesAt(versions: readonly PriceVersion[], at: string): UnitPrices | undefined {
  return versions.find((version) => isInForce(version, Date.parse(at)))?.price.unitPrices;
}

let catalog: PriceCatalog;
beforeAll(async () => {
  catalog = await loadGenaiPrices();
});

describe("the bundled price list", () => {
  test("is the version that prices are said to come from", () => {
    const manifest = JSON.parse(readFileSync("package.json", "utf8"));
    expect(GENAI_PRICES_SOURCE).toBe(`genai-prices@${manifest.dependencies["@pydantic/genai-prices"]}`);
  });

  test("converts exactly, but for these", () => {
    const unusable = PROVIDERS.flatMap((provider) =>
      modelsOf(provider).flatMap((info) => {
        const entry = toCatalogEntry({ provider, model: info.id, info });
        return entry.unusable ? [`${provider}/${info.id}: ${entry.unusable}`] : [];
      }),
    );
    expect(unusable).toEqual([
      "openai/gpt-transcribe: no price of both input and output tokens",
      "openai/moderation: no price of both input and output tokens",
      "openai/whisper-1: no price of both input and output tokens",
      'huggingface_together/Qwen/Qwen3-VL-8B-Instruct: input_mtok: not a USD price per 1M tokens with at most 6 decimals: "0.18000000000000002"',
      "huggingface_together/ServiceNow-AI/Apriel-1.6-15b-Thinker: no price of both input and output tokens",
    ]);
  });

  test("prices embeddings by their input, and nothing else without a price of output", () => {
    const pricesOf = (id: string) => {
      const info: ModelInfo = { id, match: { equals: id }, prices: { input_mtok: 0.02 } };
      return toCatalogEntry({ provider: "p", model: id, info }).versions[0]?.price.unitPrices;
    };
    for (const id of ["text-embedding-3-small", "gemini-embedding-001", "voyage-4"]) {
      expect(pricesOf(id)).toMatchObject({ uncachedPicoUsdPerToken: 20_000n, textOutPicoUsdPerToken: 0n });
    }
    expect(pricesOf("ada")).toBeUndefined();
  });

  test("gives the costs that the package's own arithmetic gives, rounding aside", () => {
    const at = new Date("2026-11-23T12:00:00Z");
    const report = parseUsage({
      tokensIn: 300_000,
      tokensOut: 2_000,
      cacheReadTokensIn: 100_000,
      cacheWriteTokensIn: 50_000,
      reasoningTokensOut: 700,
    });
    if (report.kind !== "reported") throw new Error("not a usage");
    let compared = 0;
    for (const provider of PROVIDERS) {
      for (const info of modelsOf(provider)) {
        const { versions } = toCatalogEntry({ provider, model: info.id, info });
        const inForce = versions.find((version) => isInForce(version, at.getTime()));
        if (!inForce) continue;
        const usage = {
          input_tokens: 300_000,
          output_tokens: 2_000,
          cache_read_tokens: 100_000,
          cache_write_tokens: 50_000,
          output_reasoning_tokens: 700,
        };
        const own = calcPrice(usage, info.id, {
          provider: {
            id: provider,
            name: provider,
            api_pattern: "x",
            models: [{ ...info, match: { equals: info.id } }],
          },
          timestamp: at,
        });
        const { costPicoUsd } = priceAttempt(report.usage, inForce.price);
        expect(Number(costPicoUsd) / 1e12, `${provider}/${info.id}`).toBeCloseTo(
          own?.total_price ?? Number.NaN,
          9,
        );
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(250);
  });
});

describe("names of models", () => {
  test("mean what the package's own rules say, for every name that these mention", () => {
    let compared = 0;
    for (const provider of PROVIDERS) {
      const models = modelsOf(provider);
      const mentioned = JSON.stringify(models.map(({ match }) => match)).matchAll(/:"([^"]+)"/g);
      for (const [, name = ""] of mentioned) {
        for (const variant of [
          name,
          name.toUpperCase(),
          `${name}-20260807`,
          `${name}-2026-08-07`,
          `x${name}`,
        ]) {
          const theirs = calcPrice({}, variant, { providerId: provider, timestamp: new Date("2026-11-23") });
          expect(findModel(models, variant)?.id, `${provider}/${variant}`).toBe(theirs?.model.id);
          compared += 1;
        }
      }
    }
    expect(compared).toBeGreaterThan(1_000);
  });

  test.each([
    ["gpt-5-mini", "gpt-5-mini"],
    ["GPT-5-Mini", "gpt-5-mini"],
    ["gpt-5-mini-2025-08-07", "gpt-5-mini"],
    ["gpt-5-mini-20250807", "gpt-5-mini"],
    ["gpt-5.6-luna-2026-09-01", "gpt-5.6-luna"],
    ["gpt-4o-2024-05-13", "gpt-4o-2024-05-13"],
  ])("%s is %s", (name, model) => {
    expect(catalog.lookUp({ provider: "openai", model: name })?.model).toBe(model);
  });

  test.each([
    "gpt-5-mini-2025-13-07",
    "gpt-5-mini-20250230",
    "gpt-5-mini-turbo",
    "gpt-5-min",
    "gpt-7",
    "",
    "openai/gpt-5-mini",
  ])("%j is not guessed at", (name) => {
    expect(catalog.lookUp({ provider: "openai", model: name })).toBeUndefined();
  });

  test("a provider counts by its exact id only", () => {
    expect(catalog.lookUp({ provider: "my-openai-proxy", model: "gpt-5-mini" })).toBeUndefined();
    expect(catalog.lookUp({ provider: "OpenAI", model: "gpt-5-mini" })).toBeUndefined();
  });
});

describe("HuggingFace", () => {
  test("is priced by the partner that the name pins", () => {
    const groq = catalog.lookUp({ provider: "huggingface", model: "Qwen/Qwen3-32B:groq" });
    expect(groq?.model).toBe("Qwen/Qwen3-32B:groq");
    expect(groq?.versions[0]?.price).toMatchObject({
      provider: "huggingface",
      model: "Qwen/Qwen3-32B:groq",
      unitPrices: { uncachedPicoUsdPerToken: 290_000n, textOutPicoUsdPerToken: 590_000n },
    });
    const sambanova = catalog.lookUp({ provider: "huggingface", model: "qwen/qwen3-32b:sambanova" });
    expect(sambanova?.versions[0]?.price.unitPrices.uncachedPicoUsdPerToken).toBe(400_000n);
  });

  test.each([
    "Qwen/Qwen3-32B",
    "Qwen/Qwen3-32B:fastest",
    "Qwen/Qwen3-32B:cheapest",
    "Qwen/Qwen3-32B:hf-inference",
    ":groq",
  ])("%s has no price", (model) => {
    expect(catalog.lookUp({ provider: "huggingface", model })).toBeUndefined();
  });
});

describe("prices with conditions", () => {
  test("change at the instant at which the next one starts", () => {
    const versions = catalog.lookUp({ provider: "openai", model: "gpt-5.6-sol" })?.versions ?? [];
    expect(unitPricesAt(versions, "2026-08-20T23:59:59.999Z")?.uncachedPicoUsdPerToken).toBe(5_000_000n);
    expect(unitPricesAt(versions, "2026-08-21T00:00:00Z")?.uncachedPicoUsdPerToken).toBe(4_000_000n);
    expect(
      versions.map(({ price }) => [price.validFrom?.toISOString(), price.validTo?.toISOString()]),
    ).toEqual([
      ["2026-08-21T00:00:00.000Z", undefined],
      [undefined, "2026-08-21T00:00:00.000Z"],
    ]);
  });

  test("follow the time of day, the last of several that apply", () => {
    const info: ModelInfo = {
      id: "m",
      match: { equals: "m" },
      prices: [
        { prices: { input_mtok: 1, output_mtok: 1 } },
        {
          constraint: { type: "start_date", start_date: "2026-08-17" },
          prices: { input_mtok: 2, output_mtok: 2 },
        },
        {
          constraint: { type: "time_of_date", start_time: "22:30:00Z", end_time: "04:00:00Z" },
          prices: { input_mtok: 3, output_mtok: 3 },
        },
      ],
    };
    const { versions } = toCatalogEntry({ provider: "p", model: "m", info });
    expect(unitPricesAt(versions, "2026-08-16T12:00:00Z")?.uncachedPicoUsdPerToken).toBe(1_000_000n);
    expect(unitPricesAt(versions, "2026-08-17T12:00:00Z")?.uncachedPicoUsdPerToken).toBe(2_000_000n);
    expect(unitPricesAt(versions, "2026-08-17T22:30:00Z")?.uncachedPicoUsdPerToken).toBe(3_000_000n);
    expect(unitPricesAt(versions, "2026-08-18T03:59:59Z")?.uncachedPicoUsdPerToken).toBe(3_000_000n);
    expect(unitPricesAt(versions, "2026-08-18T04:00:00Z")?.uncachedPicoUsdPerToken).toBe(2_000_000n);
    expect(versions.map(({ price }) => price.window)).toEqual([
      "22:30-04:00 UTC",
      "except 22:30-04:00 UTC",
      "except 22:30-04:00 UTC",
    ]);
  });

  test("have the tiers of all their buckets", () => {
    const [version] = catalog.lookUp({ provider: "openai", model: "gpt-5.4" })?.versions ?? [];
    expect(version?.price.tiers).toEqual([
      {
        aboveTokensIn: 271_999,
        unitPrices: {
          uncachedPicoUsdPerToken: 5_000_000n,
          cacheReadPicoUsdPerToken: 500_000n,
          cacheWritePicoUsdPerToken: 5_000_000n,
          textOutPicoUsdPerToken: 22_500_000n,
          reasoningOutPicoUsdPerToken: 22_500_000n,
        },
      },
    ]);
    const info: ModelInfo = {
      id: "m",
      match: { equals: "m" },
      prices: {
        input_mtok: {
          base: 1,
          tiers: [
            { start: 200, price: 3 },
            { start: 100, price: 2 },
          ],
        },
        output_mtok: { base: 10, tiers: [{ start: 150, price: 20 }] },
        output_reasoning_mtok: 7,
      },
    };
    const merged = toCatalogEntry({ provider: "p", model: "m", info }).versions[0]?.price;
    const summary = merged?.tiers.map(({ aboveTokensIn, unitPrices }) => [
      aboveTokensIn,
      unitPrices.uncachedPicoUsdPerToken,
      unitPrices.textOutPicoUsdPerToken,
      unitPrices.reasoningOutPicoUsdPerToken,
    ]);
    expect(summary).toEqual([
      [100, 2_000_000n, 10_000_000n, 7_000_000n],
      [150, 2_000_000n, 20_000_000n, 7_000_000n],
      [200, 3_000_000n, 20_000_000n, 7_000_000n],
    ]);
  });

  test("that charge requests besides tokens are not used", () => {
    const entry = catalog.lookUp({ provider: "perplexity", model: "sonar-pro" });
    expect(entry).toMatchObject({ versions: [], unusable: expect.stringContaining("requests_kcount") });
  });
});
