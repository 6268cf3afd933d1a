import type { ErrorReason } from "./error-table.ts";
import type { AttemptReport } from "./gateway.ts";
import type { PicoUsd } from "./money.ts";
import type { Price, UnitPrices } from "./price.ts";
import type { ReceivedOutput } from "./provider-error.ts";
import type { Claim, Ending } from "./replay.ts";
import type { Usage } from "./usage.ts";

/** What a caller asked the gateway for; also the names of the RPCs. */
export type CallMethod = "Complete" | "StreamComplete" | "Embed";

/**
 * The glossary of the ledger. An **attempt** is one call to one provider; a **request** has one or more.
 * An attempt is **opened** (its intent) before the provider is called and **settled** (its outcome) exactly once.
 */
export interface AttemptIntent {
  /** What was called; undefined in a journal of a version that knew completions only. */
  readonly method?: CallMethod | undefined;
  /** UUIDv7 made by the gateway. */
  readonly attemptId: string;
  readonly requestId: string;
  /** 1 for the first attempt of a request. */
  readonly ordinal: number;
  readonly apiKeyId: string;
  readonly provider: string;
  readonly model: string;
  /** The price in force at `occurredAt`; undefined means that the attempt will be UNPRICED. */
  readonly price: Price | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  readonly streamed: boolean;
  readonly occurredAt: Date;
  /** Estimate of the input, for what is never heard of again. */
  readonly estimatedTokensIn: number;
  /**
   * The attempts of the request that ended before this one, should the process die and the call be repeated. Undefined
   * when nobody can repeat it.
   */
  readonly earlierAttempts?: readonly AttemptReport[] | undefined;
}

export type AttemptOutcomeKind = "succeeded" | "failed" | "cancelled";

/** Whose count of the tokens it is. */
export type UsageSource = "reported" | "estimated" | "none";

/**
 * - `settled`: priced usage. - `unpriced`: usage without a price; the cost is not known, which is not free.
 * - `not_billed`: refused before work, or interrupted at a provider that bills nothing then. - `unknown`: no outcome was ever seen.
 */
export type BillingState = "settled" | "unpriced" | "not_billed" | "unknown";

/**
 * How it came to the tokens, where that is worth a word; nothing is wrong with them. Among the flags of an outcome.
 * - `ESTIMATED_BY_BYTES`: the tokenizer was too slow; UTF-8 bytes / 4.
 * - `INPUT_REPORTED`: estimated, but its input is what the provider stated before the end.
 * - `NOT_BILLED_BY_POLICY`: interrupted at a provider that is configured to bill nothing then.
 * - `HEDGE_LOST`: neither failed nor left by its caller, but given up since another candidate was faster.
 * - `CHARGES_BEYOND_TOKENS`: the provider tells of charges beside or instead of those of the tokens (tools of its own,
 *   another tier); they are not in the cost.
 */
export const COUNT_FLAGS = [
  "ESTIMATED_BY_BYTES",
  "INPUT_REPORTED",
  "NOT_BILLED_BY_POLICY",
  "HEDGE_LOST",
  "CHARGES_BEYOND_TOKENS",
] as const;
export type CountFlag = (typeof COUNT_FLAGS)[number];
export const HEDGE_LOST: CountFlag = "HEDGE_LOST";

export interface AttemptOutcome {
  readonly intent: AttemptIntent;
  readonly outcome: AttemptOutcomeKind;
  readonly errorReason: ErrorReason | undefined;
  readonly usage: Usage | undefined;
  readonly usageSource: UsageSource;
  readonly billingState: BillingState;
  /** Undefined exactly when `billingState` is `unpriced`, or `unknown` without a price. */
  readonly costPicoUsd: PicoUsd | undefined;
  /** What the provider says that the attempt cost, when it does: kept beside the cost, and never part of it. */
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  /** The unit prices that were applied (of the tier that applied). */
  readonly unitPrices: UnitPrices | undefined;
  /** Anomalies of the provider's usage, e.g. `NEGATIVE`, and `CountFlag`s. */
  readonly flags: readonly string[];
  readonly latencyMs: number;
  readonly timeToFirstTokenMs: number | undefined;
  readonly providerRequestId: string | undefined;
  readonly responseModel: string | undefined;
}

/**
 * One row per admitted request, also for those that then reached no provider. A request that is refused before
 * (unknown model, limit of the key) has none: a flood of refusals must not write rows.
 */
export interface RequestLogEntry {
  readonly requestId: string;
  readonly apiKeyId: string;
  readonly method: CallMethod;
  /** The model as the caller named it. */
  readonly requestedModel: string;
  /** Provider and model of the last attempt; undefined when there was none. */
  readonly provider: string | undefined;
  readonly model: string | undefined;
  readonly status: "ok" | "error" | "cancelled";
  readonly errorReason: ErrorReason | undefined;
  readonly attempts: number;
  readonly fellBack: boolean;
  readonly latencyMs: number;
  readonly traceId: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  readonly occurredAt: Date;
}

/**
 * The write side. `open` must have returned before the provider is called; `settle` and `finish` before the caller
 * gets the unary answer or the last message of a stream.
 */
export interface Ledger {
  /**
   * `claim` comes with the first attempt of a repeatable request, and is durable with it.
   * @throws GatewayError LEDGER_UNAVAILABLE when the outcome could not be kept: nothing was spent yet.
   */
  open(intent: AttemptIntent, claim?: Claim): Promise<void>;
  /**
   * What an open attempt has received so far, so that its estimate counts it should the process die. Fire and
   * forget, at most once a second for a stream.
   */
  checkpoint(attemptId: string, received: ReceivedOutput): void;
  /** Exactly once per opened attempt; a second time for the same attempt id changes nothing. */
  settle(outcome: AttemptOutcome): Promise<void>;
  /**
   * The final outcome of an attempt that was settled already, at most one for each: writes a reversal of the entry in
   * force and an adjustment, both or none. Nothing when what is counted and what it costs are equal. Durable when it
   * resolves.
   */
  correct(outcome: AttemptOutcome): Promise<void>;
  /** Writes the request's row and, of a repeatable request, what its repetitions get: both or none. */
  finish(entry: RequestLogEntry, ending?: Ending): Promise<void>;
  /** True while `open` would be accepted. */
  readonly ready: boolean;
  /** Waits until everything that was accepted is durable. */
  flush(): Promise<void>;
}

export type CostDimension = "api_key" | "provider" | "model" | "tag" | "end_user" | "hour" | "day" | "month";

export interface CostFilter {
  /** Half-open `[start, end)`. */
  readonly start: Date;
  readonly end: Date;
  /** Empty lists filter nothing. */
  readonly apiKeyIds: readonly string[];
  readonly providers: readonly string[];
  readonly models: readonly string[];
  /** All of them must match. */
  readonly tags: Readonly<Record<string, string>>;
  readonly endUsers: readonly string[];
  /** Only what was recorded before this instant, so that a report can be repeated. */
  readonly asOf: Date | undefined;
}

export interface CostQuery extends CostFilter {
  readonly groupBy: readonly CostDimension[];
  /** The tag whose values `tag` groups by; required with it. */
  readonly tagKey: string | undefined;
}

/** Sums over attempts. Token sums are bigint: a year of a company's traffic may pass 2^53. */
export interface CostAmounts {
  /** Requests that ended on this group, failed ones included; refused before any provider call: not counted. */
  readonly requests: bigint;
  readonly attempts: bigint;
  readonly tokensIn: bigint;
  readonly tokensOut: bigint;
  readonly uncachedTokensIn: bigint;
  readonly cacheReadTokensIn: bigint;
  readonly cacheWriteTokensIn: bigint;
  readonly textTokensOut: bigint;
  readonly reasoningTokensOut: bigint;
  readonly costPicoUsd: PicoUsd;
  readonly coverage: Coverage;
}

/** How far the sums can be trusted. The four states of attempts sum to `attempts`. */
export interface Coverage {
  readonly reportedAttempts: bigint;
  readonly estimatedAttempts: bigint;
  readonly unpricedAttempts: bigint;
  readonly notBilledAttempts: bigint;
  readonly unknownAttempts: bigint;
  readonly estimatedTokens: bigint;
  readonly unpricedTokens: bigint;
  readonly unknownTokens: bigint;
  readonly estimatedCostPicoUsd: PicoUsd;
  readonly unknownCostPicoUsd: PicoUsd;
}

/** The value of each requested dimension, in the order of `groupBy`; times are ISO instants, absent is "". */
export interface CostRow extends CostAmounts {
  readonly key: readonly string[];
}

export interface CostReport {
  readonly rows: readonly CostRow[];
  readonly totals: CostAmounts;
  /** Repeat the query with this to get the same answer. */
  readonly asOf: Date;
}

/**
 * - `charge`: the attempt as it was settled. - `reversal`: takes back the entry before it, with negative tokens and a
 * negative cost. - `adjustment`: what is in force instead. The last two come in pairs.
 */
export type CostRecordKind = "charge" | "reversal" | "adjustment";

/** An entry of the ledger, as reports list it. */
export interface CostRecord {
  readonly attemptId: string;
  readonly requestId: string;
  readonly ordinal: number;
  readonly kind: CostRecordKind;
  /** 0 for the charge; a reversal and its adjustment share the number of the correction. */
  readonly revision: number;
  /** The act of re-rating that a correction belongs to; undefined for charges and late outcomes. */
  readonly adjustmentId: string | undefined;
  readonly apiKeyId: string;
  readonly provider: string;
  readonly model: string;
  readonly outcome: AttemptOutcomeKind;
  readonly errorReason: string | undefined;
  /** Of a reversal negative. */
  readonly usage: Usage | undefined;
  readonly usageSource: UsageSource;
  readonly billingState: BillingState;
  readonly costPicoUsd: PicoUsd | undefined;
  /** What the provider says that the attempt cost; no part of any sum. */
  readonly providerCostPicoUsd?: PicoUsd | undefined;
  readonly unitPrices: UnitPrices | undefined;
  readonly priceId: string | undefined;
  readonly flags: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly endUser: string | undefined;
  readonly streamed: boolean;
  readonly latencyMs: number;
  readonly occurredAt: Date;
  readonly recordedAt: Date;
}

/** The read side. */
export interface CostReader {
  query(query: CostQuery): Promise<CostReport>;
  /** Newest first; stable while records are added. `pageToken` is opaque. @throws GatewayError INVALID_REQUEST */
  listRecords(request: {
    readonly filter: CostFilter;
    readonly pageSize: number;
    readonly pageToken: string | undefined;
  }): Promise<{ readonly records: readonly CostRecord[]; readonly nextPageToken: string | undefined }>;
}
