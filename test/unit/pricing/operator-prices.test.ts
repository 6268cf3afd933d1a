import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  OperatorPricesError,
  operatorPrices,
  parseOperatorPrices,
} from "../../../src/pricing/operator-prices.ts";
import { isInForce } from "../../../src/pricing/price-version.ts";

const base = { provider: "openai", model: "gpt-5", input: 1, output: 2 };

function issuesOf(value: unknown): string[] {
  const result = parseOperatorPrices(value);
  return result.ok ? [] : result.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("the operator's prices", () => {
  test("are read from YAML, numbers and text alike", () => {
    const [version] = operatorPrices(
      parse(`
- provider: openai
  model: gpt-5
  input: 1.25
  output: "10"
  cache_read: 0.125
  cache_write: 0.000001
  reasoning: 12.5
  tiers:
    - above_tokens_in: 272000
      input: 2.5
      output: 15
  valid_from: 2026-12-01
  valid_to: 2027-01-01T00:00:00+08:00
  window: { utc_start: 22:00, utc_end: 06:00, days: [fri] }
`),
    );
    expect(version?.price).toMatchObject({
      source: "operator",
      unitPrices: {
        uncachedPicoUsdPerToken: 1_250_000n,
        cacheReadPicoUsdPerToken: 125_000n,
        cacheWritePicoUsdPerToken: 1n,
        textOutPicoUsdPerToken: 10_000_000n,
        reasoningOutPicoUsdPerToken: 12_500_000n,
      },
      tiers: [{ aboveTokensIn: 272_000, unitPrices: { cacheReadPicoUsdPerToken: 2_500_000n } }],
      validFrom: new Date("2026-12-01T00:00:00Z"),
      validTo: new Date("2026-12-31T16:00:00Z"),
      window: "Fri 22:00-06:00 UTC",
    });
    const inForce = (at: string) => version && isInForce(version, Date.parse(at));
    expect(inForce("2026-12-05T05:00:00Z")).toBe(true);
    expect(inForce("2026-12-05T06:00:00Z")).toBe(false);
    expect(inForce("2027-01-01T23:00:00Z")).toBe(false);
  });

  test("fill what is left out from input and output", () => {
    expect(operatorPrices([base])[0]?.price.unitPrices).toEqual({
      uncachedPicoUsdPerToken: 1_000_000n,
      cacheReadPicoUsdPerToken: 1_000_000n,
      cacheWritePicoUsdPerToken: 1_000_000n,
      textOutPicoUsdPerToken: 2_000_000n,
      reasoningOutPicoUsdPerToken: 2_000_000n,
    });
  });

  test("are refused with all their mistakes at once", () => {
    const issues = issuesOf([
      { ...base, input: 0.18000000000000002, output: "ten", cache_reed: 1 },
      base,
      { provider: "", model: "m", output: -1, window: { utc_start: "25:00", utc_end: "06:00" } },
      { ...base, model: "x", valid_from: "2026-12-01", valid_to: "2026-12-01" },
      { ...base, model: "y", valid_from: "soon", window: { utc_start: "06:00", utc_end: "06:00", days: [] } },
      {
        ...base,
        model: "z",
        tiers: [
          { above_tokens_in: 5, input: 1, output: 1 },
          { above_tokens_in: 5, input: 1e-7, output: 1 },
        ],
      },
      {
        ...base,
        model: "z",
        tiers: [
          { above_tokens_in: 5, input: 1, output: 1 },
          { above_tokens_in: 5, input: 1, output: 1 },
        ],
      },
      "gpt-5",
    ]);
    const paths = issues.map((issue) => issue.slice(0, issue.indexOf(":")));
    expect(paths.toSorted()).toEqual(
      [
        "0",
        "0.input",
        "0.output",
        "2.input",
        "2.output",
        "2.provider",
        "2.window.utc_start",
        "3.valid_to",
        "4.valid_from",
        "4.window.days",
        "4.window.utc_end",
        "5.tiers.1.input",
        "6.tiers.1.above_tokens_in",
        "7",
      ].toSorted(),
    );
    expect(issues.find((issue) => issue.startsWith("0.input"))).toContain("at most 6 decimals");
    expect(issues.find((issue) => issue.startsWith("0:"))).toContain("cache_reed");
  });

  test.each([undefined, null, "openai", {}, 7])("are refused when they are %j instead of a list", (value) => {
    expect(issuesOf(value)).toEqual([": expected a list of prices"]);
  });

  test("may be none", () => {
    expect(parseOperatorPrices([])).toEqual({ ok: true, versions: [] });
  });

  test("in code throw one error with every mistake", () => {
    const prices = [
      { ...base, input: "x" },
      { ...base, output: "y" },
    ];
    expect(() => operatorPrices(prices)).toThrow(OperatorPricesError);
    expect(() => operatorPrices(prices)).toThrow(/prices\[0\.input\].*prices\[1\.output\]/);
  });
});

describe("two prices of one model", () => {
  test.each([
    ["always", {}, {}],
    ["validities that share an instant", { valid_to: "2026-12-02" }, { valid_from: "2026-12-01" }],
    ["a window within always", {}, { window: { utc_start: "01:00", utc_end: "02:00" } }],
    [
      "windows that share a minute past midnight",
      { window: { utc_start: "23:00", utc_end: "01:00", days: ["sun"] } },
      { window: { utc_start: "00:59", utc_end: "03:00", days: ["mon"] } },
    ],
    ["names that differ in case", {}, { model: "GPT-5" }],
  ])("are refused when they overlap: %s", (_, one, other) => {
    expect(
      issuesOf([
        { ...base, ...one },
        { ...base, model: "else" },
        { ...base, ...other },
      ]),
    ).toEqual(["2: overlaps with the price at [0] of the same model"]);
  });

  test.each([
    ["validities that touch", { valid_to: "2026-12-01" }, { valid_from: "2026-12-01" }],
    [
      "windows that touch",
      { window: { utc_start: "10:00", utc_end: "01:00" } },
      { window: { utc_start: "01:00", utc_end: "10:00" } },
    ],
    [
      "other days",
      { window: { utc_start: "00:00", utc_end: "24:00", days: ["sat", "sun"] } },
      { window: { utc_start: "00:00", utc_end: "24:00", days: ["mon", "tue", "wed", "thu", "fri"] } },
    ],
    ["another provider", {}, { provider: "azure" }],
  ])("are taken when they do not: %s", (_, one, other) => {
    expect(
      issuesOf([
        { ...base, ...one },
        { ...base, ...other },
      ]),
    ).toEqual([]);
  });
});
