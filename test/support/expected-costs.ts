import type { AttemptOutcome, CostAmounts, CostQuery, RequestLogEntry } from "../../src/core/ledger.ts";

type Numbers = Record<string, bigint>;

/** What a report must say, summed here from the traffic itself: plain JSON with sorted rows, for comparison. */
export function expectedReport(
  traffic: { readonly outcomes: readonly AttemptOutcome[]; readonly requests: readonly RequestLogEntry[] },
  query: CostQuery,
): { readonly rows: readonly (readonly [string, Numbers])[]; readonly totals: Numbers } {
  const groups = new Map<string, Numbers>();
  const totals = emptyNumbers();
  const add = (subject: Subject, numbers: Numbers): void => {
    if (!matches(subject, query)) return;
    const key = JSON.stringify(query.groupBy.map((by) => keyOf(subject, by, query.tagKey)));
    const group = groups.get(key) ?? emptyNumbers();
    groups.set(key, group);
    for (const [name, value] of Object.entries(numbers)) {
      group[name] = (group[name] ?? 0n) + value;
      totals[name] = (totals[name] ?? 0n) + value;
    }
  };
  for (const outcome of traffic.outcomes) add(outcome.intent, numbersOf(outcome));
  for (const request of traffic.requests) if (request.attempts > 0) add(request, { requests: 1n });
  return { rows: [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)), totals };
}

/** A report in the shape of `expectedReport`. */
export function flatten(report: {
  readonly rows: readonly ({ readonly key: readonly string[] } & CostAmounts)[];
  readonly totals: CostAmounts;
}) {
  const flat = ({ coverage, ...amounts }: CostAmounts): Numbers => ({ ...amounts, ...coverage });
  return {
    rows: report.rows
      .map(({ key, ...amounts }): readonly [string, Numbers] => [JSON.stringify(key), flat(amounts)])
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    totals: flat(report.totals),
  };
}

type Subject = {
  readonly apiKeyId: string;
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  readonly occurredAt: Date;
};

function matches(subject: Subject, query: CostQuery): boolean {
  const among = (values: readonly string[], value: string | undefined): boolean =>
    values.length === 0 || (value !== undefined && values.includes(value));
  return (
    subject.occurredAt >= query.start &&
    subject.occurredAt < query.end &&
    among(query.apiKeyIds, subject.apiKeyId) &&
    among(query.providers, subject.provider) &&
    among(query.models, subject.model) &&
    among(query.endUsers, subject.endUser) &&
    Object.entries(query.tags).every(([key, value]) => subject.tags[key] === value)
  );
}

function keyOf(subject: Subject, by: CostQuery["groupBy"][number], tagKey: string | undefined): string {
  const iso = subject.occurredAt.toISOString();
  switch (by) {
    case "api_key":
      return subject.apiKeyId;
    case "provider":
      return subject.provider ?? "";
    case "model":
      return subject.model ?? "";
    case "end_user":
      return subject.endUser ?? "";
    case "tag":
      return subject.tags[tagKey ?? ""] ?? "";
    case "hour":
      return `${iso.slice(0, 13)}:00:00.000Z`;
    case "day":
      return `${iso.slice(0, 10)}T00:00:00.000Z`;
    case "month":
      return `${iso.slice(0, 7)}-01T00:00:00.000Z`;
  }
}

function numbersOf({ usage, usageSource, billingState, costPicoUsd = 0n }: AttemptOutcome): Numbers {
  const tokensIn = BigInt(usage?.tokensIn ?? 0);
  const tokensOut = BigInt(usage?.tokensOut ?? 0);
  const state = billingState === "settled" ? usageSource : billingState;
  const amount = (wanted: string, value: bigint): bigint => (state === wanted ? value : 0n);
  return {
    attempts: 1n,
    tokensIn,
    tokensOut,
    uncachedTokensIn: BigInt(usage?.uncachedTokensIn ?? 0),
    cacheReadTokensIn: BigInt(usage?.cacheReadTokensIn ?? 0),
    cacheWriteTokensIn: BigInt(usage?.cacheWriteTokensIn ?? 0),
    textTokensOut: BigInt(usage?.textTokensOut ?? 0),
    reasoningTokensOut: BigInt(usage?.reasoningTokensOut ?? 0),
    costPicoUsd,
    reportedAttempts: amount("reported", 1n),
    estimatedAttempts: amount("estimated", 1n),
    unpricedAttempts: amount("unpriced", 1n),
    notBilledAttempts: amount("not_billed", 1n),
    unknownAttempts: amount("unknown", 1n),
    estimatedTokens: amount("estimated", tokensIn + tokensOut),
    unpricedTokens: amount("unpriced", tokensIn + tokensOut),
    unknownTokens: amount("unknown", tokensIn + tokensOut),
    estimatedCostPicoUsd: amount("estimated", costPicoUsd),
    unknownCostPicoUsd: amount("unknown", costPicoUsd),
  };
}

function emptyNumbers(): Numbers {
  const none = numbersOf({
    usage: undefined,
    usageSource: "none",
    billingState: "not_billed",
    costPicoUsd: 0n,
  } as AttemptOutcome);
  return { requests: 0n, ...Object.fromEntries(Object.keys(none).map((name) => [name, 0n])) };
}
