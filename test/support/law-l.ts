import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { type CostRecord, CostRecordKind } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import {
  type Attempt,
  AttemptOutcome,
  BillingState,
  UsageSource,
} from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { BillLine } from "../../simulator/bill.ts";
import { costPicoUsd } from "../../simulator/prices.ts";
import { parseScript, type Script } from "../../simulator/script.ts";
import type { CompletionOutcome } from "./completion-client.ts";
import { type Evidence, filterOf } from "./evidence.ts";
import { countedTokensIn, countedTokensOut, isEstimatedByBytes } from "./expected-estimate.ts";
import { ADMIN_KEY } from "./gateway-process.ts";
import { type Effort, entriesInForce, expectExactSums, picoUsdOf } from "./ledger-sums.ts";
import { promptOf } from "./prompt.ts";

/** One call, as the provider billed it and as the ledger has it. */
export interface Matched {
  readonly line: BillLine;
  readonly record: CostRecord;
  readonly script: Script;
  /** The request as the provider got it. */
  readonly prompt: string;
}

export interface LawLReport {
  readonly matched: readonly Matched[];
  /** Records of attempts that the provider never saw. */
  readonly unseen: readonly CostRecord[];
  recordsOf(requestId: string): readonly CostRecord[];
}

/** Within so long an abort reaches the provider's socket; what it generates meanwhile nobody can count. */
const ABORT_REACHES_PROVIDER_MS = 250;
/** A stream's received output is on disk at least so often; what comes after that dies with the process. */
const CHECKPOINT_MS = 1_000;
const SETTLE_TIMEOUT_MS = 3_000;
const POLL_MS = 10;
const MAX_SMALL_PAGES = 150;

/**
 * Law L: the ledger equals the provider's own bill. Completed attempts to the token and the picodollar, interrupted
 * ones flagged and short of at most what was generated while nobody looked, refused ones at zero; nothing twice,
 * nothing lost, nothing that was never sent; and all reports are the exact sum of the records. Where the gateway was
 * killed, an attempt whose outcome nobody told its caller may instead be an orphan: unknown, and short of at most one
 * checkpoint.
 */
export async function expectLawL(evidence: Evidence, effort: Effort = "quick"): Promise<LawLReport> {
  const lines = await evidence.billed();
  await waitUntilSettled(evidence, lines.length);
  const entries = await listRecords(evidence, effort);
  const records = entriesInForce(entries);
  expectUnique(entries.filter(({ kind }) => kind === CostRecordKind.CHARGE));
  expectNothingPending(records);
  const { matched, unseen } = match(evidence, lines, records);
  for (const pair of matched) expectBilledAsRecorded(evidence, pair);
  for (const record of unseen) expectUnsent(evidence, record);
  expectAnswersToAgree(evidence, records);
  await expectExactSums(evidence, entries, effort);
  const byRequest = Map.groupBy(records, ({ requestId }) => requestId);
  const recordsOf = (requestId: string) =>
    (byRequest.get(requestId) ?? []).toSorted((a, b) => a.ordinal - b.ordinal);
  return { matched, unseen, recordsOf };
}

/** Waits until every line of the bill has a record: an abort is settled a moment after its caller left. */
async function waitUntilSettled(evidence: Evidence, lines: number): Promise<void> {
  const client = evidence.clients.costs(ADMIN_KEY);
  const counted = evidence.killed ? wasAnswered : wasCalled;
  const ended = BigInt(new Set(evidence.outcomes.filter(counted).map(({ requestId }) => requestId)).size);
  const giveUpAtMs = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const { totals } = await client.costQuery({ filter: filterOf(evidence) });
    // The row of a request follows those of its attempts.
    const settled = totals && totals.attempts >= BigInt(lines) && totals.requests >= ended;
    if (settled || performance.now() > giveUpAtMs) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

const wasCalled = ({ attempts }: CompletionOutcome) => attempts.length > 0;
const wasAnswered = ({ reason }: CompletionOutcome) => reason === undefined;

async function listRecords(evidence: Evidence, effort: Effort): Promise<readonly CostRecord[]> {
  const client = evidence.clients.costs(ADMIN_KEY);
  const pageSize = effort === "quick" ? 1_000 : Math.max(7, Math.ceil(evidence.calls.size / MAX_SMALL_PAGES));
  const records: CostRecord[] = [];
  let pageToken = "";
  do {
    const page = await client.listCostRecords({
      ...{ pageSize, pageToken, filter: filterOf(evidence) },
    });
    records.push(...page.records);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return records;
}

function expectUnique(records: readonly CostRecord[]): void {
  expect(new Set(records.map(({ attemptId }) => attemptId)).size, "attempt ids").toBe(records.length);
  // What cost nothing may be made anew under its id.
  const billed = records.filter(({ billingState }) => billingState !== BillingState.NOT_BILLED);
  const places = new Set(
    billed.map(({ apiKeyId, requestId, ordinal }) => `${apiKeyId} ${requestId} ${ordinal}`),
  );
  expect(places.size, "attempts of a request").toBe(billed.length);
}

function expectNothingPending(records: readonly CostRecord[]): void {
  for (const record of records) {
    expect(record.billingState).not.toBe(BillingState.UNSPECIFIED);
    expect(record.outcome).not.toBe(AttemptOutcome.UNSPECIFIED);
  }
}

/** Joins by the request id in the prompt, the provider and the order of the calls. */
function match(evidence: Evidence, lines: readonly BillLine[], records: readonly CostRecord[]) {
  const open = Map.groupBy(
    records.toSorted((a, b) => a.ordinal - b.ordinal),
    ({ requestId, provider, model }) => `${requestId} ${provider} ${model}`,
  );
  const matched = lines.map((line): Matched => {
    const provider = evidence.providerOf(line);
    const candidates = open.get(`${line.reference} ${provider} ${line.model}`) ?? [];
    const record = candidates.find((candidate) => !saysUnsent(candidate));
    if (!record) throw new Error(`the call ${JSON.stringify(line)} of ${provider} is not on the ledger`);
    candidates.splice(candidates.indexOf(record), 1);
    return { line, record, script: scriptOf(evidence, line), prompt: promptFor(evidence, line) };
  });
  return { matched, unseen: [...open.values()].flat() };
}

/** What the provider was asked: the one message of the call. */
const promptFor = ({ calls }: Evidence, { reference = "" }: BillLine): string =>
  promptOf(reference, calls.get(reference) ?? {});

function scriptOf({ calls }: Evidence, { reference = "", personality }: BillLine): Script {
  const scripts: Readonly<Record<string, Script | undefined>> = calls.get(reference)?.scripts ?? {};
  return parseScript(scripts[personality] ?? {});
}

/** No connection, so no call. */
const saysUnsent = (record: CostRecord) => record.errorReason === ErrorReason.PROVIDER_UNREACHABLE;

function expectBilledAsRecorded(evidence: Evidence, pair: Matched): void {
  const { line, record } = pair;
  const where = `${line.state} ${JSON.stringify(line)} against ${describe(record)}`;
  expect(record.streamed, where).toBe(line.stream);
  if (isOrphan(record)) expectOrphan(evidence, pair, where);
  else if (line.state === "refused") expectRefused(pair, where);
  else if (record.usage?.source === UsageSource.REPORTED) expectExact(pair, where);
  else {
    const hidden = evidence.calls.get(record.requestId)?.usageHidden ?? false;
    // What was completed, and whose usage reached the gateway, is never a guess.
    if (line.state === "completed" && record.outcome === AttemptOutcome.SUCCEEDED)
      expect(hidden, `not reported: ${where}`).toBe(true);
    expectFlagged(pair, where);
  }
}

function expectRefused({ record, script }: Matched, where: string): void {
  // An error disguised as a success may have cost something, and so may one that nobody waited for: both say so.
  const isDisguised = script.fault === "errorEvent" || script.fault === "html";
  const gaveUp = record.errorReason === ErrorReason.PROVIDER_TIMEOUT;
  const isUnheard = gaveUp || record.outcome === AttemptOutcome.CANCELLED;
  if ((isDisguised || isUnheard) && record.billingState === BillingState.UNKNOWN) return;
  expect(record.billingState, where).toBe(BillingState.NOT_BILLED);
  expect(record.usage, where).toBeUndefined();
  expect(record.cost?.costUsd, where).toBe("0.000000000000");
}

function expectExact({ line, record, script }: Matched, where: string): void {
  const { usage } = record;
  // A provider that states another usage than it bills: nobody but it can know.
  if (script.usageOverride !== undefined) return;
  expect(
    {
      tokensIn: usage?.tokensIn,
      tokensOut: usage?.tokensOut,
      cachedTokensIn: usage?.cacheReadTokensIn ?? 0n,
      cacheWriteTokensIn: usage?.cacheWriteTokensIn ?? 0n,
      reasoningTokens: usage?.reasoningTokensOut ?? 0n,
    },
    where,
  ).toEqual({
    tokensIn: BigInt(line.tokensIn),
    tokensOut: BigInt(line.tokensOut),
    cachedTokensIn: BigInt(line.cachedTokensIn),
    cacheWriteTokensIn: BigInt(line.cacheWriteTokensIn),
    reasoningTokens: BigInt(line.reasoningTokens),
  });
  const billed = costPicoUsd(line.personality, line.model, line);
  expect(record.billingState, where).toBe(
    billed === undefined ? BillingState.UNPRICED : BillingState.SETTLED,
  );
  expect(costOf(record), where).toBe(billed);
}

/**
 * Said to be a guess, and no worse a guess than it has to be: the count of the whole input, and of the output up to
 * what was generated while nobody looked.
 */
function expectFlagged(pair: Matched, where: string): void {
  const { line, record, script, prompt } = pair;
  const flagged =
    record.billingState === BillingState.UNKNOWN || record.usage?.source === UsageSource.ESTIMATED;
  expect(flagged, `not flagged: ${where}`).toBe(true);
  const { usage } = record;
  if (record.cost?.costUsd !== undefined) expect(record.cost.estimated, where).toBe(true);
  const byBytes = isEstimatedByBytes(record.flags);
  if (record.flags.includes("INPUT_REPORTED")) expectInputExact(line, usage, where);
  // The input is assumed to be billed; a provider that hung may not have begun to read it.
  else if (line.tokensIn > 0 && script.tokensIn === undefined && script.cachedTokensIn === undefined)
    expect(usage?.tokensIn, where).toBe(byBytes ? BigInt(line.tokensIn) : countedTokensIn(prompt));
  // Of a unary answer that never came nothing was seen.
  const isWhole = record.outcome === AttemptOutcome.SUCCEEDED && line.state === "completed";
  const unseen = isWhole ? 0 : line.stream ? unseenTokens(pair) : line.tokensOut;
  const tokensOut = usage?.tokensOut ?? 0n;
  const counted = countedTokensOut(line, script, {
    unseenTokens: unseen,
    undelivered: record.outcome === AttemptOutcome.FAILED,
  });
  if (counted && !byBytes) expect(counted, where).toContain(tokensOut);
  if (byBytes) {
    const missed = BigInt(line.tokensOut) - tokensOut;
    expect(missed, where).toBeGreaterThanOrEqual(0n);
    expect(missed, where).toBeLessThanOrEqual(BigInt(unseen));
  }
}

export const isOrphan = ({ flags }: CostRecord) => flags.includes("ORPHANED");

/** Its process died before the outcome was on disk; it is never a guess upwards. */
function expectOrphan(evidence: Evidence, { line, record, script }: Matched, where: string): void {
  expect(evidence.killed ?? false, `an orphan of a process that lived: ${where}`).toBe(true);
  expect(record, where).toMatchObject({
    ...{ billingState: BillingState.UNKNOWN, outcome: AttemptOutcome.FAILED },
    ...{ errorReason: ErrorReason.INTERNAL, flags: ["ORPHANED"] },
  });
  expect(record.cost?.estimated, where).toBe(true);
  if (line.tokensIn > 0 && script.tokensIn === undefined)
    expect(record.usage?.tokensIn, where).toBe(BigInt(line.tokensIn));
  const missed = line.tokensOut - Number(record.usage?.tokensOut ?? 0n);
  if (line.state !== "refused") expect(missed, where).toBeGreaterThanOrEqual(0);
  const unseenMs = CHECKPOINT_MS + ABORT_REACHES_PROVIDER_MS;
  if (line.stream && script.tokenDelayMs)
    expect(missed, where).toBeLessThanOrEqual(Math.ceil(unseenMs / script.tokenDelayMs) + 1);
}

/** A provider that states the input early leaves no doubt about it, whatever becomes of the answer. */
function expectInputExact(line: BillLine, usage: CostRecord["usage"], where: string): void {
  expect(
    {
      tokensIn: usage?.tokensIn,
      cachedTokensIn: usage?.cacheReadTokensIn ?? 0n,
      cacheWriteTokensIn: usage?.cacheWriteTokensIn ?? 0n,
    },
    where,
  ).toEqual({
    tokensIn: BigInt(line.tokensIn),
    cachedTokensIn: BigInt(line.cachedTokensIn),
    cacheWriteTokensIn: BigInt(line.cacheWriteTokensIn),
  });
}

/** What a stream may have generated that did not reach the gateway before one of the two gave up. */
function unseenTokens({ line, record, script }: Matched): number {
  const isProvidersFault = line.state === "interrupted" && record.outcome === AttemptOutcome.FAILED;
  const gaveUp = record.errorReason === ErrorReason.PROVIDER_TIMEOUT;
  if (isProvidersFault && !gaveUp && line.clientAbortedAfterMs === undefined)
    return script.reasoningTokens ?? 0;
  const delayMs = script.tokenDelayMs ?? 0;
  return delayMs === 0 ? line.tokensOut : Math.ceil(ABORT_REACHES_PROVIDER_MS / delayMs) + 1;
}

/** Nobody billed it: it costs nothing, or nobody could know whether it arrived and it says so. */
function expectUnsent(evidence: Evidence, record: CostRecord): void {
  if (evidence.killed && isOrphan(record) && record.billingState === BillingState.UNKNOWN) return;
  if (record.billingState === BillingState.UNKNOWN && evidence.calls.get(record.requestId)?.mayBeLost) return;
  expect(record.billingState, describe(record)).toBe(BillingState.NOT_BILLED);
  expect(costOf(record), describe(record)).toBe(0n);
}

/** What callers were told of their attempts is what the ledger says of them. */
function expectAnswersToAgree(evidence: Evidence, records: readonly CostRecord[]): void {
  const byId = new Map(records.map((record) => [record.attemptId, record]));
  for (const { attempts, requestId } of evidence.outcomes) {
    for (const attempt of attempts) {
      const record = byId.get(attempt.attemptId);
      const agrees = record && (agree(attempt, record) || isUnheard(evidence, attempt, record));
      const same = record !== undefined && record.requestId === requestId && agrees;
      expect(same, `${describe(attempt)} was answered, ${record && describe(record)} is on the ledger`).toBe(
        true,
      );
    }
  }
}

/** A failure is told without waiting long for the disk; a success never is. */
function isUnheard({ killed }: Evidence, attempt: Attempt, record: CostRecord): boolean {
  return (killed ?? false) && attempt.outcome !== AttemptOutcome.SUCCEEDED && isOrphan(record);
}

function agree(attempt: Attempt, record: CostRecord): boolean {
  const names = ["ordinal", "provider", "model", "outcome", "errorReason", "usage", "billingState"] as const;
  return (
    names.every((name) => isDeepStrictEqual(attempt[name], record[name])) &&
    attempt.cost?.costUsd === record.cost?.costUsd
  );
}

export function costOf(record: CostRecord): bigint | undefined {
  return record.cost?.costUsd === undefined ? undefined : picoUsdOf(record.cost.costUsd);
}

function describe(value: CostRecord | Attempt): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? Number(part) : part));
}
