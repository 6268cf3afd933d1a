import type { MatchLogic, ModelInfo } from "@pydantic/genai-prices";

/** `-20250807` with a plausible year, month and day, at the end of a part of the name. */
const COMPACT_DATE = /-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)/g;

/**
 * The first model whose own rule accepts the name, as genai-prices itself looks one up: case is ignored except in
 * regular expressions, and a compact snapshot date is tried a second time as `-2025-08-07`.
 * No rule is added to those of the data: a wrong guess is worse than no price.
 */
export function findModel(models: readonly ModelInfo[], name: string): ModelInfo | undefined {
  const found = models.find((model) => matches(model.match, name));
  if (found) return found;
  const dashed = name.replace(COMPACT_DATE, (compact: string, year: string, month: string, day: string) =>
    isRealDate(Number(year), Number(month), Number(day)) ? `-${year}-${month}-${day}` : compact,
  );
  return dashed === name ? undefined : models.find((model) => matches(model.match, dashed));
}

function isRealDate(year: number, month: number, day: number): boolean {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

function matches(rule: MatchLogic, name: string): boolean {
  if ("or" in rule) return rule.or.some((part) => matches(part, name));
  if ("and" in rule) return rule.and.every((part) => matches(part, name));
  if ("regex" in rule) return new RegExp(rule.regex).test(name);
  const lowerCase = name.toLowerCase();
  if ("equals" in rule) return lowerCase === rule.equals.toLowerCase();
  if ("starts_with" in rule) return lowerCase.startsWith(rule.starts_with.toLowerCase());
  if ("ends_with" in rule) return lowerCase.endsWith(rule.ends_with.toLowerCase());
  return lowerCase.includes(rule.contains.toLowerCase());
}
