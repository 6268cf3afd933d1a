import type { Clock } from "../core/clock.ts";
import type { AdjustmentRequest, AdjustmentResult, CostAdjuster } from "../core/cost-adjustment.ts";
import { GatewayError } from "../core/errors.ts";
import type { CostRecord } from "../core/ledger.ts";
import type { Price, PriceBook, UnitPrices } from "../core/price.ts";
import type {
  AdjustmentCounts,
  AdjustmentPosition,
  AdjustmentProgress,
  AdjustmentStep,
  AdjustmentStore,
  Rerating,
} from "../ledger/adjustment-store.ts";
import { priceAttempt } from "../pricing/price-attempt.ts";
import { createPriceVersion } from "../pricing/price-version.ts";

/** A finished call, for the log. */
export interface CostsAdjusted {
  readonly apiKeyId: string;
  readonly request: AdjustmentRequest;
  readonly result: AdjustmentResult;
}

export interface CostAdjusterDependencies {
  readonly store: AdjustmentStore;
  readonly prices: Pick<PriceBook, "find">;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** After each call that changed something or could have. */
  readonly onAdjusted: (adjusted: CostsAdjusted) => void;
  /** Entries that are read, and at most written, at once. @default 500 */
  readonly pageSize?: number;
}

export const DEFAULT_ADJUSTMENT_PAGE = 500;
/** Steps that may be lost to other corrections in a row. */
const MAX_LOST_STEPS = 5;
/** What is kept of the deadline for the answer: this, or a fifth of a short one. */
const MAX_MARGIN_MS = 1_000;
const MAX_PRICE_IDS = 1_000;

/** Rates what is on the ledger again, step by step; each step is a transaction. */
export function createCostAdjuster(dependencies: CostAdjusterDependencies): CostAdjuster {
  return {
    async adjust(actor, asked, call) {
      const request = { ...asked, filter: narrowFilter(asked) };
      const timeLeft = createTimeLeft(dependencies.clock, call);
      const progress = await run(dependencies, request, actor.apiKeyId, timeLeft);
      const result = toResult(progress, request.dryRun);
      dependencies.onAdjusted({ apiKeyId: actor.apiKeyId, request, result });
      return result;
    },
  };
}

async function run(
  { store, prices, pageSize = DEFAULT_ADJUSTMENT_PAGE }: CostAdjusterDependencies,
  request: AdjustmentRequest,
  apiKeyId: string,
  timeLeft: () => boolean,
): Promise<AdjustmentProgress> {
  const priceOf = createPricing(request, prices);
  const begin = async () => (request.dryRun ? nothingYet(request) : await store.begin(apiKeyId, request));
  let progress = await begin();
  let lost = 0;
  while (!progress.complete) {
    const step = await gather({ store, request, priceOf, pageSize, timeLeft }, progress.position);
    if (request.dryRun || (await store.write(progress, step))) {
      progress = advance(progress, step);
      lost = 0;
    } else {
      lost += 1;
      if (lost > MAX_LOST_STEPS)
        throw new GatewayError("OVERLOADED", "other corrections of the same costs keep coming first");
      progress = await begin();
    }
    if (!timeLeft()) break;
  }
  return progress;
}

function toResult(progress: AdjustmentProgress, dryRun: boolean): AdjustmentResult {
  const { requestId, complete, examined, adjusted, unchanged, stillUnpriced } = progress;
  const { costBeforePicoUsd, costAfterPicoUsd, priceIds } = progress;
  return {
    adjustmentId: dryRun ? undefined : progress.adjustmentId,
    ...{ requestId, complete, examined, adjusted, unchanged, stillUnpriced },
    ...{ costBeforePicoUsd, costAfterPicoUsd, priceIds },
  };
}

/** Reads pages until there is something to adjust, nothing more, or no time. */
async function gather(
  work: {
    readonly store: AdjustmentStore;
    readonly request: AdjustmentRequest;
    readonly priceOf: (record: CostRecord) => Price | undefined;
    readonly pageSize: number;
    readonly timeLeft: () => boolean;
  },
  after: AdjustmentPosition | undefined,
): Promise<AdjustmentStep> {
  const reratings: Rerating[] = [];
  let [examined, unchanged, stillUnpriced] = [0, 0, 0];
  let position = after;
  let complete = false;
  do {
    const page = await work.store.page(work.request, position, work.pageSize);
    for (const record of page) {
      const rating = rate(record, work.priceOf(record));
      if (rating === "unchanged") unchanged += 1;
      else if (rating === "unpriced") stillUnpriced += 1;
      else reratings.push(rating);
    }
    examined += page.length;
    position = page.at(-1) ?? position;
    complete = page.length < work.pageSize;
  } while (reratings.length === 0 && !complete && work.timeLeft());
  return { reratings, examined, unchanged, stillUnpriced, position, complete };
}

/** The tokens stay what they were, and so does whose count they are; an unknown outcome stays unknown. */
function rate(record: CostRecord, price: Price | undefined): Rerating | "unchanged" | "unpriced" {
  const asIs = record.costPicoUsd === undefined ? "unpriced" : "unchanged";
  if (!record.usage || !price) return asIs;
  const { costPicoUsd, unitPrices } = priceAttempt(record.usage, price);
  const samePrices = !record.unitPrices || haveEqualPrices(record.unitPrices, unitPrices);
  if (costPicoUsd === record.costPicoUsd && samePrices) return "unchanged";
  const billingState = record.billingState === "unpriced" ? "settled" : record.billingState;
  const flags = record.flags.filter((flag) => flag !== "PRICING_FAILED");
  return { record, price, billingState, costPicoUsd, unitPrices, flags };
}

function haveEqualPrices(one: UnitPrices, other: UnitPrices): boolean {
  return (
    one.uncachedPicoUsdPerToken === other.uncachedPicoUsdPerToken &&
    one.cacheReadPicoUsdPerToken === other.cacheReadPicoUsdPerToken &&
    one.cacheWritePicoUsdPerToken === other.cacheWritePicoUsdPerToken &&
    one.textOutPicoUsdPerToken === other.textOutPicoUsdPerToken &&
    one.reasoningOutPicoUsdPerToken === other.reasoningOutPicoUsdPerToken
  );
}

function createPricing(
  { source, filter }: AdjustmentRequest,
  prices: Pick<PriceBook, "find">,
): (record: CostRecord) => Price | undefined {
  if (source.kind === "price_book")
    return ({ provider, model, occurredAt }) => prices.find({ provider, model, at: occurredAt });
  const { provider, model, unitPrices, name } = source;
  const validity = { validFrom: filter.start, validTo: filter.end };
  const { price } = createPriceVersion({ provider, model, unitPrices, source: name, ...validity });
  return () => price;
}

/** An explicit price is for its model only. @throws GatewayError INVALID_REQUEST when the filter excludes that model */
function narrowFilter({ filter, source }: AdjustmentRequest): AdjustmentRequest["filter"] {
  if (source.kind === "price_book") return filter;
  const excludes = (names: readonly string[], name: string) => names.length > 0 && !names.includes(name);
  if (excludes(filter.providers, source.provider) || excludes(filter.models, source.model)) {
    const description = "must not exclude the provider and the model of the explicit price";
    throw new GatewayError("INVALID_REQUEST", `filter ${description}`, {
      fieldViolations: [{ field: "filter", description }],
    });
  }
  return { ...filter, providers: [source.provider], models: [source.model] };
}

function createTimeLeft(
  clock: Pick<Clock, "monotonicMs">,
  { deadlineAtMs, signal }: { readonly deadlineAtMs: number; readonly signal: AbortSignal },
): () => boolean {
  const marginMs = Math.min(MAX_MARGIN_MS, (deadlineAtMs - clock.monotonicMs()) / 5);
  return () => !signal.aborted && clock.monotonicMs() + marginMs < deadlineAtMs;
}

const NO_COUNTS: AdjustmentCounts = {
  examined: 0n,
  unchanged: 0n,
  stillUnpriced: 0n,
  adjusted: 0n,
  costBeforePicoUsd: 0n,
  costAfterPicoUsd: 0n,
};

/** A dry run starts from nothing each time. */
function nothingYet({ requestId = "" }: AdjustmentRequest): AdjustmentProgress {
  const unwritten = { adjustmentId: "", steps: 0, position: undefined, complete: false, priceIds: [] };
  return { ...NO_COUNTS, ...unwritten, requestId };
}

function advance(progress: AdjustmentProgress, step: AdjustmentStep): AdjustmentProgress {
  const before = step.reratings.reduce((sum, { record }) => sum + (record.costPicoUsd ?? 0n), 0n);
  const after = step.reratings.reduce((sum, { costPicoUsd }) => sum + costPicoUsd, 0n);
  const priceIds = new Set([...progress.priceIds, ...step.reratings.map(({ price }) => price.priceId)]);
  return {
    ...progress,
    steps: progress.steps + 1,
    examined: progress.examined + BigInt(step.examined),
    unchanged: progress.unchanged + BigInt(step.unchanged),
    stillUnpriced: progress.stillUnpriced + BigInt(step.stillUnpriced),
    adjusted: progress.adjusted + BigInt(step.reratings.length),
    costBeforePicoUsd: progress.costBeforePicoUsd + before,
    costAfterPicoUsd: progress.costAfterPicoUsd + after,
    priceIds: [...priceIds].toSorted().slice(0, MAX_PRICE_IDS),
    position: step.position,
    complete: step.complete,
  };
}
