import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { PROVIDER_TYPE_NAMES, PROVIDER_TYPES } from "../../../src/core/provider-types.ts";

const readme = readFileSync("README.md", "utf8");

describe("a type of provider", () => {
  it.each(PROVIDER_TYPE_NAMES)(
    "%s is in the README, with its prefix, and passes the suite of all",
    (name) => {
      expect(readme).toContain(`| \`${name}\` | \`${PROVIDER_TYPES[name].environmentPrefix}\` |`);
      expect(existsSync(`test/fixtures/${name}/completion.json`)).toBe(true);
      expect(readFileSync(`test/unit/providers/${name}.test.ts`, "utf8")).toContain("describeProvider(");
    },
  );

  it("has variables of its own", () => {
    const prefixes = PROVIDER_TYPE_NAMES.map((name) => PROVIDER_TYPES[name].environmentPrefix);
    expect(new Set(prefixes).size).toBe(prefixes.length);
  });

  it("has a base URL by TLS, or needs one", () => {
    const urls = PROVIDER_TYPE_NAMES.map((name) => PROVIDER_TYPES[name].baseUrl);
    for (const url of urls) expect(url ?? "https://of.the.operator").toMatch(/^https:\/\//);
  });
});
