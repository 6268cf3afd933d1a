import { GatewayError } from "../../core/errors.ts";
import type { CostDimension, CostFilter } from "../../core/ledger.ts";
import { effectivePageSize } from "../../core/paging.ts";
import { Violations } from "../convert/violations.ts";
import { checkInterval, resolveInterval } from "./cost-scope.ts";
import { type PageStart, startPage } from "./page-interval.ts";

/** RFC 3339, with at most nine decimals; `+` may arrive as the space that it means in a query. */
const RFC_3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:[Zz]|[+ -]\d{2}:\d{2})$/;
const TAG_KEY = /^[A-Za-z0-9_.-]{1,63}$/;
const TAG_PREFIX = "tag.";
const MAX_VALUES = 100;

/** An extra grouping of `GET /v1/costs`, beside key, provider and model. */
export interface ExtraGroup {
  readonly dimension: Extract<CostDimension, "hour" | "day" | "month" | "end_user" | "tag">;
  readonly tagKey: string | undefined;
}

export interface CostParameters {
  readonly filter: CostFilter;
  readonly extraGroups: readonly ExtraGroup[];
  readonly pageSize: number;
  readonly page: PageStart;
}

/** Which parameters a route takes besides the filter. */
export type CostRouteKind = "sums" | "records";

/**
 * The query of the plain JSON routes. A parameter that is repeated names several values.
 * @throws GatewayError INVALID_REQUEST for unknown parameters and malformed values, all of them at once
 */
export function parseCostParameters(url: string, route: CostRouteKind, now: Date): CostParameters {
  const parameters = parseQuery(url);
  const violations = new Violations();
  const values = new ParameterReader(parameters, violations);
  const interval = { start: values.instant("start"), end: values.instant("end") };
  const page = startPage(route === "records" ? values.single("page_token", 2048) : undefined, now);
  const filter: CostFilter = {
    ...resolveInterval(interval, page.now),
    apiKeyIds: values.texts("api_key_id", 64),
    providers: values.texts("provider", 64),
    models: values.texts("model", 200),
    endUsers: values.texts("end_user", 128),
    tags: values.tags(),
    asOf: values.instant("as_of"),
  };
  const extraGroups = route === "sums" ? values.texts("group_by", 128).map((name) => values.group(name)) : [];
  const pageSize = route === "records" ? values.pageSize() : 0;
  values.refuseUnknown();
  violations.throwIfAny();
  checkInterval(filter, "start");
  return { filter, extraGroups: extraGroups.filter((group) => group !== undefined), pageSize, page };
}

function parseQuery(url: string): URLSearchParams {
  const queryAt = url.indexOf("?");
  const query = queryAt < 0 ? "" : url.slice(queryAt + 1);
  try {
    // The parser would put replacement characters in place of what is not UTF-8.
    decodeURIComponent(query);
  } catch (error) {
    throw new GatewayError("INVALID_REQUEST", "the query is not valid UTF-8", { cause: error });
  }
  return new URLSearchParams(query);
}

class ParameterReader {
  readonly #parameters: URLSearchParams;
  readonly #violations: Violations;
  readonly #known = new Set<string>();

  constructor(parameters: URLSearchParams, violations: Violations) {
    this.#parameters = parameters;
    this.#violations = violations;
  }

  texts(name: string, maxLength: number): readonly string[] {
    this.#known.add(name);
    const values = this.#parameters.getAll(name);
    if (values.length > MAX_VALUES)
      this.#violations.add(name, "values.max", `takes at most ${MAX_VALUES} values`);
    if (values.some((value) => value === "" || value.length > maxLength))
      this.#violations.add(name, "value.length", `must have 1 to ${maxLength} characters`);
    return values;
  }

  single(name: string, maxLength: number): string | undefined {
    const [value, ...more] = this.texts(name, maxLength);
    if (more.length > 0) this.#violations.add(name, "value.single", "takes one value");
    return value;
  }

  instant(name: string): Date | undefined {
    const text = this.single(name, 64);
    if (text === undefined) return undefined;
    const match = RFC_3339.exec(text);
    const date = new Date(text.replace(" ", "+").toUpperCase());
    if (match && isCalendarDay(match) && !Number.isNaN(date.getTime())) return date;
    this.#violations.add(name, "timestamp.rfc3339", "is not an RFC 3339 time, e.g. 2026-01-31T00:00:00Z");
    return undefined;
  }

  tags(): Readonly<Record<string, string>> {
    const tags: [string, string][] = [];
    for (const [name, value] of this.#parameters) {
      if (!name.startsWith(TAG_PREFIX)) continue;
      const key = name.slice(TAG_PREFIX.length);
      if (!TAG_KEY.test(key)) this.#violations.add(name, "tag.key", "is not a tag");
      if (value.length > 128) this.#violations.add(name, "value.length", "must have at most 128 characters");
      if (this.#known.has(name)) this.#violations.add(name, "value.single", "takes one value");
      this.#known.add(name);
      tags.push([key, value]);
    }
    return Object.fromEntries(tags);
  }

  group(name: string): ExtraGroup | undefined {
    switch (name) {
      case "hour":
      case "day":
      case "month":
      case "end_user":
        return { dimension: name, tagKey: undefined };
    }
    const tagKey = name.startsWith(TAG_PREFIX) ? name.slice(TAG_PREFIX.length) : "";
    if (TAG_KEY.test(tagKey)) return { dimension: "tag", tagKey };
    this.#violations.add("group_by", "group_by.unknown", "takes hour, day, month, end_user and tag.<name>");
    return undefined;
  }

  pageSize(): number {
    const text = this.single("page_size", 9);
    if (text === undefined) return effectivePageSize(0);
    if (/^\d{1,9}$/.test(text)) return effectivePageSize(Number(text));
    this.#violations.add("page_size", "page_size.number", "is not a whole number from 0");
    return effectivePageSize(0);
  }

  refuseUnknown(): void {
    for (const name of new Set(this.#parameters.keys())) {
      if (!this.#known.has(name)) this.#violations.add(name, "parameter.unknown", "is not a parameter");
    }
  }
}

/** `Date` takes the 31st of February for the 3rd of March. */
function isCalendarDay([, year, month, day]: RegExpExecArray): boolean {
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  return date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
}
