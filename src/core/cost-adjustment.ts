import type { Principal } from "./keys.ts";
import type { CostFilter } from "./ledger.ts";
import type { PicoUsd } from "./money.ts";
import type { UnitPrices } from "./price.ts";

/** Which entries are rated again: those that have no price, or all (of which those change whose price differs). */
export type AdjustmentScope = "unpriced" | "all";

/** Where the prices come from. */
export type AdjustmentSource =
  /** The price book as it is now, asked for the price in force when the attempt began. */
  | { readonly kind: "price_book" }
  /** One price, for the attempts of one model. */
  | {
      readonly kind: "explicit";
      readonly provider: string;
      readonly model: string;
      readonly unitPrices: UnitPrices;
      /** Who says so, e.g. `invoice 2026-10`. */
      readonly name: string;
    };

export interface AdjustmentRequest {
  /** Makes a repetition harmless; undefined lets the gateway choose one. */
  readonly requestId: string | undefined;
  /** Why; 1 to 1,000 characters. Kept for ever. */
  readonly reason: string;
  /** `asOf` must be undefined. */
  readonly filter: CostFilter;
  readonly scope: AdjustmentScope;
  readonly source: AdjustmentSource;
  /** Counts what would change, and changes nothing. */
  readonly dryRun: boolean;
}

export interface AdjustmentResult {
  /** Undefined for a dry run. */
  readonly adjustmentId: string | undefined;
  readonly requestId: string;
  /** False when the time was up: the same request again goes on where this one ended. */
  readonly complete: boolean;
  readonly examined: bigint;
  readonly adjusted: bigint;
  readonly unchanged: bigint;
  /** Without a price before and after. */
  readonly stillUnpriced: bigint;
  /** Of the attempts that were adjusted. */
  readonly costBeforePicoUsd: PicoUsd;
  readonly costAfterPicoUsd: PicoUsd;
  /** The prices that were applied, at most 1,000. */
  readonly priceIds: readonly string[];
}

export interface CostAdjuster {
  /**
   * Rates attempts again. Every batch is on the ledger with its part of the result, or not at all.
   * @throws GatewayError INVALID_REQUEST, ALREADY_EXISTS (the request id belongs to another request),
   *   OVERLOADED (other corrections keep coming first), LEDGER_UNAVAILABLE
   */
  adjust(
    actor: Principal,
    request: AdjustmentRequest,
    call: { readonly deadlineAtMs: number; readonly signal: AbortSignal },
  ): Promise<AdjustmentResult>;
}
