import { newId } from "../../src/core/ids.ts";
import type { AttemptIntent, AttemptOutcome, RequestLogEntry } from "../../src/core/ledger.ts";
import type { Price, UnitPrices } from "../../src/core/price.ts";
import type { Usage } from "../../src/core/usage.ts";

/** A number in `[0, 1)`, the same sequence for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const SAMPLE_UNIT_PRICES: UnitPrices = {
  uncachedPicoUsdPerToken: 250_000n,
  cacheReadPicoUsdPerToken: 25_000n,
  cacheWritePicoUsdPerToken: 312_500n,
  textOutPicoUsdPerToken: 2_000_000n,
  reasoningOutPicoUsdPerToken: 2_000_001n,
};

export const SAMPLE_PRICE: Price = {
  priceId: "sample-price",
  provider: "openai",
  model: "gpt-5-mini",
  unitPrices: SAMPLE_UNIT_PRICES,
  tiers: [{ aboveTokensIn: 200_000, unitPrices: SAMPLE_UNIT_PRICES }],
  source: "operator",
  validFrom: new Date("2026-01-01T00:00:00Z"),
  validTo: undefined,
  window: undefined,
};

export function sampleIntent(changes: Partial<AttemptIntent> = {}): AttemptIntent {
  return {
    attemptId: newId(),
    requestId: "request-1",
    ordinal: 1,
    apiKeyId: "k_aaaaaaaaaaaa",
    provider: "openai",
    model: "gpt-5-mini",
    price: SAMPLE_PRICE,
    tags: { team: "search" },
    endUser: "user-1",
    streamed: false,
    occurredAt: new Date("2026-11-20T10:30:00.123Z"),
    estimatedTokensIn: 10,
    ...changes,
  };
}

/** A settled attempt with every kind of tokens. */
export function sampleOutcome(
  intent: Partial<AttemptIntent> = {},
  changes: Partial<Omit<AttemptOutcome, "intent">> = {},
): AttemptOutcome {
  const usage: Usage = {
    tokensIn: 100,
    tokensOut: 50,
    uncachedTokensIn: 60,
    cacheReadTokensIn: 40,
    cacheWriteTokensIn: 0,
    textTokensOut: 50,
    reasoningTokensOut: undefined,
  };
  return {
    intent: sampleIntent(intent),
    outcome: "succeeded",
    errorReason: undefined,
    usage,
    usageSource: "reported",
    billingState: "settled",
    costPicoUsd: 60n * 250_000n + 40n * 25_000n + 50n * 2_000_000n,
    unitPrices: SAMPLE_UNIT_PRICES,
    flags: [],
    latencyMs: 812.5,
    timeToFirstTokenMs: undefined,
    providerRequestId: "req_abc",
    responseModel: "gpt-5-mini-2026-08-07",
    ...changes,
  };
}

export function sampleRequest(changes: Partial<RequestLogEntry> = {}): RequestLogEntry {
  return {
    requestId: "request-1",
    apiKeyId: "k_aaaaaaaaaaaa",
    method: "Complete",
    requestedModel: "openai/gpt-5-mini",
    provider: "openai",
    model: "gpt-5-mini",
    status: "ok",
    errorReason: undefined,
    attempts: 1,
    fellBack: false,
    latencyMs: 900,
    traceId: undefined,
    tags: { team: "search" },
    endUser: "user-1",
    occurredAt: new Date("2026-11-20T10:30:00.000Z"),
    ...changes,
  };
}

const PROVIDERS = ["openai", "deepseek", "huggingface"] as const;
const MODELS = ["small", "large", "org/name"] as const;
const KEYS = ["k_aaaaaaaaaaaa", "k_bbbbbbbbbbbb", "admin"] as const;
const TEAMS = ["search", "ads", "", "100%", "o'neil"] as const;
const USERS = [undefined, "user-1", "user_2", "user%"] as const;

/** Random attempts and requests of any state, spread over `[start, start + spanMs)`. */
export function randomTraffic(options: {
  readonly seed: number;
  readonly requests: number;
  readonly start: Date;
  readonly spanMs: number;
}): { readonly outcomes: readonly AttemptOutcome[]; readonly requests: readonly RequestLogEntry[] } {
  const random = createRandom(options.seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(values: readonly [T, ...T[]]): T => values[below(values.length)] ?? values[0];
  const outcomes: AttemptOutcome[] = [];
  const requests: RequestLogEntry[] = [];
  for (let index = 0; index < options.requests; index++) {
    const tags: Readonly<Record<string, string>> =
      random() < 0.2 ? {} : { team: pick(TEAMS), stage: pick(["prod", "test"]) };
    const shared = {
      requestId: `request-${index}`,
      apiKeyId: pick(KEYS),
      tags,
      endUser: pick(USERS),
    };
    const startedAtMs = options.start.getTime() + below(options.spanMs);
    const attempts = below(4);
    let last: AttemptIntent | undefined;
    for (let ordinal = 1; ordinal <= attempts; ordinal++) {
      const occurredAt = new Date(
        Math.min(startedAtMs + below(5_000), options.start.getTime() + options.spanMs - 1),
      );
      last = sampleIntent({ ...shared, ordinal, provider: pick(PROVIDERS), model: pick(MODELS), occurredAt });
      outcomes.push(randomOutcome(last, random));
    }
    requests.push(
      sampleRequest({
        ...shared,
        provider: last?.provider,
        model: last?.model,
        attempts,
        occurredAt: new Date(startedAtMs),
      }),
    );
  }
  return { outcomes, requests };
}

function randomOutcome(intent: AttemptIntent, random: () => number): AttemptOutcome {
  const below = (limit: number): number => Math.floor(random() * limit);
  const maybe = (limit: number): number | undefined => (random() < 0.4 ? undefined : below(limit));
  const parts = { read: maybe(9_000), write: maybe(500), reasoning: maybe(70_000) };
  const uncachedTokensIn = below(1_000_000);
  const textTokensOut = below(90_000);
  const usage: Usage = {
    tokensIn: uncachedTokensIn + (parts.read ?? 0) + (parts.write ?? 0),
    tokensOut: textTokensOut + (parts.reasoning ?? 0),
    uncachedTokensIn,
    cacheReadTokensIn: parts.read,
    cacheWriteTokensIn: parts.write,
    textTokensOut,
    reasoningTokensOut: parts.reasoning,
  };
  const costPicoUsd = BigInt(below(2 ** 31)) * BigInt(below(2 ** 20)) + 1n;
  switch (below(5)) {
    case 0:
      return { ...sampleOutcome(), intent, usage, usageSource: "estimated", costPicoUsd };
    case 1:
      return {
        ...sampleOutcome(),
        intent,
        usage,
        billingState: "unpriced",
        costPicoUsd: undefined,
        unitPrices: undefined,
      };
    case 2:
      return {
        ...sampleOutcome(),
        intent,
        usage: undefined,
        usageSource: "none",
        billingState: "not_billed",
        costPicoUsd: 0n,
      };
    case 3:
      return {
        ...sampleOutcome(),
        intent,
        usage,
        usageSource: "estimated",
        billingState: "unknown",
        costPicoUsd,
      };
    default:
      return { ...sampleOutcome(), intent, usage, costPicoUsd };
  }
}
