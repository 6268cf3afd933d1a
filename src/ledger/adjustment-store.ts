import { createHash } from "node:crypto";
import type { AdjustmentRequest } from "../core/cost-adjustment.ts";
import { GatewayError } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import type { CostFilter, CostRecord } from "../core/ledger.ts";
import { type PicoUsd, parseUsd } from "../core/money.ts";
import type { Price } from "../core/price.ts";
import { RERATING_STATEMENT } from "./correction-statement.ts";
import { withReadErrors } from "./cost-reader.ts";
import { assertFilter, createBindings, detailConditions, sharedConditions, within } from "./filter-sql.ts";
import type { LedgerDatabase } from "./ledger-database.ts";
import { RECORD_SELECT, toCostRecord } from "./record-row.ts";
import { priceToJson, pricingToRow, toStorableJson, unitPricesToRow } from "./stored-rows.ts";

/** The last attempt that was examined. */
export interface AdjustmentPosition {
  readonly occurredAt: Date;
  readonly attemptId: string;
}

/** What an adjustment, or a step of it, came to. */
export interface AdjustmentCounts {
  readonly examined: bigint;
  readonly unchanged: bigint;
  readonly stillUnpriced: bigint;
  readonly adjusted: bigint;
  readonly costBeforePicoUsd: PicoUsd;
  readonly costAfterPicoUsd: PicoUsd;
}

/** How far an adjustment has come. */
export interface AdjustmentProgress extends AdjustmentCounts {
  readonly adjustmentId: string;
  readonly requestId: string;
  /** Steps that were written. */
  readonly steps: number;
  readonly position: AdjustmentPosition | undefined;
  readonly complete: boolean;
  readonly priceIds: readonly string[];
}

/** One entry, rated again. */
export interface Rerating {
  readonly record: CostRecord;
  readonly price: Price;
  readonly billingState: CostRecord["billingState"];
  readonly costPicoUsd: PicoUsd;
  readonly unitPrices: Price["unitPrices"];
  readonly flags: readonly string[];
}

/** A part of an adjustment that is written at once. */
export interface AdjustmentStep {
  readonly reratings: readonly Rerating[];
  readonly examined: number;
  readonly unchanged: number;
  readonly stillUnpriced: number;
  readonly position: AdjustmentPosition | undefined;
  readonly complete: boolean;
}

/** The tables of adjustments, and the entries that they rest on. */
export interface AdjustmentStore {
  /**
   * Begins an adjustment, or finds it.
   * @throws GatewayError ALREADY_EXISTS when the caller used the request id for another one
   */
  begin(apiKeyId: string, request: AdjustmentRequest): Promise<AdjustmentProgress>;
  /** Entries in force after a position, in the order of positions. */
  page(
    request: Pick<AdjustmentRequest, "filter" | "scope">,
    after: AdjustmentPosition | undefined,
    limit: number,
  ): Promise<readonly CostRecord[]>;
  /** Writes the step after those of `progress`; false when an entry or the adjustment changed meanwhile. */
  write(progress: AdjustmentProgress, step: AdjustmentStep): Promise<boolean>;
}

/** Price ids that an answer names at most. */
const MAX_PRICE_IDS = 1_000;

/** @throws GatewayError of every method, as a cost reader's */
export function createAdjustmentStore(
  database: LedgerDatabase,
  options: { readonly beforeRead?: () => Promise<unknown> } = {},
): AdjustmentStore {
  const { beforeRead = async () => {} } = options;
  return {
    begin: (apiKeyId, request) =>
      withReadErrors(async () => {
        assertFilter(request.filter);
        return await begin(database, apiKeyId, request);
      }),
    page: (request, after, limit) =>
      withReadErrors(async () => {
        assertFilter(request.filter);
        if (!after) await beforeRead();
        const { text, values } = buildPage(request.filter, request.scope, after, limit);
        const rows = await database.snapshot((run) => run(text, values));
        return rows.map((row) => toCostRecord(row).record);
      }),
    write: (progress, step) => withReadErrors(() => write(database, progress, step)),
  };
}

async function begin(
  database: LedgerDatabase,
  apiKeyId: string,
  request: AdjustmentRequest,
): Promise<AdjustmentProgress> {
  const { scope } = request;
  const reason = request.reason.replaceAll("\0", "").toWellFormed();
  const adjustmentId = newId();
  const requestId = request.requestId ?? adjustmentId;
  const filter = toStorableJson(request.filter);
  const source = toStorableJson(sourceToRow(request.source));
  const digest = createHash("sha256")
    .update(JSON.stringify([reason, scope, filter, source]))
    .digest("hex");
  await database.query(
    `INSERT INTO cost_adjustment (adjustment_id, api_key_id, request_id, request_digest, reason, filter, scope, source)
     VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::jsonb, $7::text, $8::jsonb)
     ON CONFLICT (api_key_id, request_id) DO NOTHING`,
    [adjustmentId, apiKeyId, requestId, digest, reason, filter, scope, source],
  );
  const [found] = await database.query(
    `SELECT adjustment_id::text AS adjustment_id, request_digest FROM cost_adjustment
     WHERE api_key_id = $1::text AND request_id = $2::text`,
    [apiKeyId, requestId],
  );
  if (found?.request_digest !== digest)
    throw new GatewayError("ALREADY_EXISTS", "the request_id was used for another adjustment");
  return await readProgress(database, String(found.adjustment_id), requestId);
}

async function readProgress(
  database: LedgerDatabase,
  adjustmentId: string,
  requestId: string,
): Promise<AdjustmentProgress> {
  const sums = ["examined", "unchanged", "unpriced", "adjusted", "cost_before_usd", "cost_after_usd"];
  const [row] = await database.query(
    `SELECT count(*)::integer AS steps, coalesce(bool_or(complete), false) AS complete,
       ${sums.map((column) => `coalesce(sum(${column}), 0)::text AS ${column}`).join(", ")},
       (extract(epoch FROM max(after_occurred_at)) * 1000)::float8 AS after_ms,
       (SELECT after_attempt_id::text FROM cost_adjustment_step WHERE adjustment_id = $1::uuid
        ORDER BY step DESC LIMIT 1) AS after_attempt_id,
       (SELECT coalesce(json_agg(price_id), '[]')::text FROM (
          SELECT DISTINCT price_id FROM cost_adjustment_step, jsonb_array_elements_text(price_ids) AS price_id
          WHERE adjustment_id = $1::uuid ORDER BY price_id LIMIT ${MAX_PRICE_IDS}) AS price) AS price_ids
     FROM cost_adjustment_step WHERE adjustment_id = $1::uuid`,
    [adjustmentId],
  );
  if (!row) throw new TypeError("an aggregate without a row");
  const text = (column: string): string => String(row[column]);
  return {
    adjustmentId,
    requestId,
    steps: Number(row.steps),
    complete: row.complete === true,
    examined: BigInt(text("examined")),
    unchanged: BigInt(text("unchanged")),
    stillUnpriced: BigInt(text("unpriced")),
    adjusted: BigInt(text("adjusted")),
    costBeforePicoUsd: parseUsd(text("cost_before_usd")),
    costAfterPicoUsd: parseUsd(text("cost_after_usd")),
    position:
      row.after_ms === null
        ? undefined
        : { occurredAt: new Date(Number(row.after_ms)), attemptId: text("after_attempt_id") },
    priceIds: JSON.parse(text("price_ids")) as readonly string[],
  };
}

/**
 * The entry in force of an attempt has the attempt's own time and id as its position, whatever was corrected. It is
 * found by a subquery for each entry rather than by an anti-join: statistics that have not heard of the adjustments
 * yet made that a join of all with all.
 */
function buildPage(
  filter: CostFilter,
  scope: AdjustmentRequest["scope"],
  after: AdjustmentPosition | undefined,
  limit: number,
) {
  const bindings = createBindings();
  const { bind } = bindings;
  const conditions = [
    within("occurred_at", filter, bindings),
    ...sharedConditions(filter, bindings),
    ...detailConditions(filter, bindings),
    "kind <> 'reversal'",
    scope === "unpriced"
      ? "billing_state <> 'not_billed' AND cost_usd IS NULL"
      : "billing_state <> 'not_billed'",
    `revision = (SELECT coalesce(max(adjustment.revision), 0) FROM cost_record AS adjustment
      WHERE adjustment.attempt_id = entry.attempt_id AND adjustment.occurred_at = entry.occurred_at
      AND adjustment.kind = 'adjustment')`,
  ];
  if (after) {
    const position = `(${bind(after.occurredAt.toISOString())}::timestamptz, ${bind(after.attemptId)}::uuid)`;
    conditions.push(`(occurred_at, attempt_id) > ${position}`);
  }
  const text = `SELECT ${RECORD_SELECT} FROM cost_record AS entry WHERE ${conditions.join(" AND ")}
ORDER BY entry.occurred_at, entry.attempt_id LIMIT ${bind(limit)}::bigint`;
  return { text, values: bindings.values };
}

/**
 * SQLSTATEs of a step that somebody else wrote first, of entries that changed (`cost_adjustment_all_or_none`), and of
 * a deadlock.
 */
const STEP_LOST: readonly unknown[] = ["23505", "23514", "40P01"];

async function write(
  database: LedgerDatabase,
  progress: AdjustmentProgress,
  step: AdjustmentStep,
): Promise<boolean> {
  const { adjustmentId } = progress;
  const prices = new Map(step.reratings.map(({ price }) => [price.priceId, price]));
  const corrections = step.reratings.map(({ record, price, ...pricing }) => ({
    attempt_id: record.attemptId,
    occurred_at: record.occurredAt,
    adjustment_id: adjustmentId,
    expected_revision: record.revision,
    ...pricingToRow(pricing, price.priceId),
  }));
  const stepRow = {
    adjustment_id: adjustmentId,
    step: progress.steps + 1,
    examined: step.examined,
    unchanged: step.unchanged,
    unpriced: step.stillUnpriced,
    planned: corrections.length,
    price_ids: [...prices.keys()],
    after_occurred_at: step.position?.occurredAt,
    after_attempt_id: step.position?.attemptId,
    complete: step.complete,
  };
  try {
    const priceRows = [...prices.values()].map(priceToJson);
    await database.query(RERATING_STATEMENT, [
      toStorableJson(corrections),
      `[${priceRows.join(",")}]`,
      JSON.stringify([stepRow]),
    ]);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && STEP_LOST.includes(error.code)) return false;
    throw error;
  }
}

function sourceToRow(source: AdjustmentRequest["source"]) {
  if (source.kind === "price_book") return source;
  return { ...source, unitPrices: unitPricesToRow(source.unitPrices) };
}
