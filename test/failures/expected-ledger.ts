import type { CostRecord } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { ErrorReasonSchema } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import {
  AttemptOutcomeSchema,
  BillingStateSchema,
  UsageSourceSchema,
} from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Reason } from "./cases/failure-words.ts";
import { type Expected, type LedgerRow, REPORTED } from "./cases/fault-case.ts";

/** What is compared of a record; its tokens and its cost are Law L's. */
export interface Row {
  readonly ordinal: number;
  readonly provider: string;
  readonly outcome: "SUCCEEDED" | "FAILED" | "CANCELLED";
  readonly reason: Reason | "UNSPECIFIED";
  readonly state: LedgerRow["state"];
  readonly usage: LedgerRow["usage"];
  readonly flags: readonly string[];
}

/** The records of a call without another provider. */
export function rowsAlone(expected: Expected, provider: string): readonly Row[] {
  const { failure, failures = 1, recovers, ledger } = expected;
  if (failure === undefined) return numbered([answerRow(provider, ledger)]);
  const failed = repeated(failures, failedRow(provider, failure, ledger));
  return numbered(recovers ? [...failed, answerRow(provider, REPORTED)] : failed);
}

/** The records of a call for which there is a next provider. */
export function rowsBacked(expected: Expected, first: string, next: string): readonly Row[] {
  const { failure, failures = 1, beforeNext, ledger } = expected;
  if (failure === undefined || !expected.next) return rowsAlone(expected, first);
  const failed = failedRow(first, beforeNext?.failure ?? failure, ledger);
  return numbered([...repeated(failures, failed), answerRow(next, REPORTED)]);
}

/** What the ledger has, in the same form. */
export function rowOf(record: CostRecord): Omit<Row, "outcome" | "reason" | "state" | "usage"> & {
  readonly [name in "outcome" | "reason" | "state" | "usage"]: string | undefined;
} {
  const { provider, ordinal, usage, flags } = record;
  return {
    ...{ ordinal, provider },
    outcome: AttemptOutcomeSchema.value[record.outcome]?.localName,
    reason: ErrorReasonSchema.value[record.errorReason]?.localName,
    state: BillingStateSchema.value[record.billingState]?.localName,
    usage: usage === undefined ? "none" : UsageSourceSchema.value[usage.source]?.localName.toLowerCase(),
    // Whether the tokenizer was in time is up to the machine.
    flags: flags.filter((flag) => flag !== "ESTIMATED_BY_BYTES"),
  };
}

type Unnumbered = Omit<Row, "ordinal">;

function failedRow(provider: string, reason: Reason, ledger: LedgerRow): Unnumbered {
  const outcome = reason === "DEADLINE_EXCEEDED" ? "CANCELLED" : "FAILED";
  return { provider, outcome, reason, ...stateOf(ledger) };
}

function answerRow(provider: string, ledger: LedgerRow): Unnumbered {
  return { provider, outcome: "SUCCEEDED", reason: "UNSPECIFIED", ...stateOf(ledger) };
}

function stateOf({ state, usage, flag }: LedgerRow) {
  return { state, usage, flags: flag === undefined ? [] : [flag] };
}

const repeated = (times: number, row: Unnumbered) => Array.from({ length: times }, () => row);

const numbered = (rows: readonly Unnumbered[]): readonly Row[] =>
  rows.map((row, index) => ({ ordinal: index + 1, ...row }));
