import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import type { CostRecord } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import {
  type Attempt,
  AttemptOutcome,
  BillingState,
  UsageSource,
} from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { BillLine } from "../../simulator/bill.ts";
import { findScriptsInText } from "../../simulator/embedded-script.ts";
import { costPicoUsd } from "../../simulator/prices.ts";
import type { RequestObservation } from "../../simulator/request-log.ts";
import type { Script } from "../../simulator/script.ts";
import type { CompletionOutcome } from "./completion-client.ts";
import { type FaultBench, requestIdIn } from "./fault-bench.ts";
import { ADMIN_KEY } from "./gateway-process.ts";
import { type Effort, expectExactSums, picoUsdOf } from "./ledger-sums.ts";

/** One call, as the provider billed it and as the ledger has it. */
export interface Matched {
  readonly line: BillLine;
  readonly record: CostRecord;
  readonly script: Script;
}

export interface LawLReport {
  readonly matched: readonly Matched[];
  /** Records of attempts that the provider never saw. */
  readonly unseen: readonly CostRecord[];
  recordsOf(requestId: string): readonly CostRecord[];
}

/** Within so long an abort reaches the provider's socket; what it generates meanwhile nobody can count. */
const ABORT_REACHES_PROVIDER_MS = 250;
const SETTLE_TIMEOUT_MS = 3_000;
const POLL_MS = 10;

/**
 * Law L: the ledger equals the provider's own bill. Completed attempts to the token and the picodollar, interrupted
 * ones flagged and short of at most what was generated while nobody looked, refused ones at zero; nothing twice,
 * nothing lost, nothing that was never sent; and all reports are the exact sum of the records.
 */
export async function expectLawL(bench: FaultBench, effort: Effort = "quick"): Promise<LawLReport> {
  await bench.simulator.whenIdle();
  const lines = bench.simulator.bill.lines;
  await waitUntilSettled(bench, lines.length);
  const records = await listRecords(bench, effort);
  expectUnique(records);
  expectNothingPending(records);
  const { matched, unseen } = match(bench, lines, records);
  for (const pair of matched) expectBilledAsRecorded(bench, pair);
  for (const record of unseen) expectUnsent(bench, record);
  expectAnswersToAgree(bench, records);
  await expectExactSums(bench, records, effort);
  const recordsOf = (requestId: string) =>
    records.filter((record) => record.requestId === requestId).sort((a, b) => a.ordinal - b.ordinal);
  return { matched, unseen, recordsOf };
}

/** Waits until every line of the bill has a record: an abort is settled a moment after its caller left. */
async function waitUntilSettled(bench: FaultBench, lines: number): Promise<void> {
  const client = bench.clients.costs(ADMIN_KEY);
  const ended = BigInt(new Set(bench.outcomes.filter(wasCalled).map(({ requestId }) => requestId)).size);
  const giveUpAtMs = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const { totals } = await client.costQuery({});
    // The row of a request follows those of its attempts.
    const settled = totals && totals.attempts >= BigInt(lines) && totals.requests >= ended;
    if (settled || performance.now() > giveUpAtMs) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

const wasCalled = ({ attempts }: CompletionOutcome) => attempts.length > 0;

async function listRecords(bench: FaultBench, effort: Effort): Promise<readonly CostRecord[]> {
  const client = bench.clients.costs(ADMIN_KEY);
  const pageSize = effort === "quick" ? 1_000 : 7;
  const records: CostRecord[] = [];
  let pageToken = "";
  do {
    const page = await client.listCostRecords({ pageSize, pageToken });
    records.push(...page.records);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return records;
}

function expectUnique(records: readonly CostRecord[]): void {
  expect(new Set(records.map(({ attemptId }) => attemptId)).size, "attempt ids").toBe(records.length);
  const places = new Set(records.map(({ requestId, ordinal }) => `${requestId} ${ordinal}`));
  expect(places.size, "attempts of a request").toBe(records.length);
}

function expectNothingPending(records: readonly CostRecord[]): void {
  for (const record of records) {
    expect(record.billingState).not.toBe(BillingState.UNSPECIFIED);
    expect(record.outcome).not.toBe(AttemptOutcome.UNSPECIFIED);
  }
}

/** Joins by the request id in the prompt, the provider's key and the order of the calls. */
function match(bench: FaultBench, lines: readonly BillLine[], records: readonly CostRecord[]) {
  const seen = new Map(bench.simulator.requests.recent().map((request) => [request.callId, request]));
  const providerByHash = new Map<string, string>(
    [...bench.providerKeys].flatMap(([provider, key]) =>
      [`Bearer ${key}`, key].map((sent) => [`sha256:${sha256(sent).slice(0, 12)}`, provider]),
    ),
  );
  const open = new Map<string, CostRecord[]>();
  for (const record of [...records].sort((a, b) => a.ordinal - b.ordinal)) {
    const key = `${record.requestId} ${record.provider} ${record.model}`;
    open.set(key, [...(open.get(key) ?? []), record]);
  }
  const matched = lines.map((line): Matched => {
    const request = seen.get(line.callId);
    const text = lastUserText(request?.body);
    const provider = providerByHash.get(keyIn(request?.headers));
    const candidates = open.get(`${requestIdIn(text)} ${provider} ${line.model}`) ?? [];
    const record = candidates.find((candidate) => !saysUnsent(candidate));
    expect(record, `the call ${JSON.stringify(line)} of ${provider} is not on the ledger`).toBeDefined();
    if (!record) throw new Error("unreachable");
    candidates.splice(candidates.indexOf(record), 1);
    return { line, record, script: scriptOf(text, line.personality) };
  });
  return { matched, unseen: [...open.values()].flat() };
}

const KEY_HEADERS = ["authorization", "x-api-key", "x-goog-api-key"] as const;

function keyIn(headers: RequestObservation["headers"] | undefined): string {
  return String(KEY_HEADERS.map((name) => headers?.[name]).find((value) => value !== undefined));
}

interface AnyRequest {
  readonly messages?: readonly { readonly content?: unknown }[];
  /** Gemini's. */
  readonly contents?: readonly { readonly parts?: readonly { readonly text?: unknown }[] }[];
}

function lastUserText(body: unknown): string {
  const request = body as AnyRequest | undefined;
  const content = request?.messages?.at(-1)?.content ?? request?.contents?.at(-1)?.parts?.[0]?.text;
  return typeof content === "string" ? content : JSON.stringify(content ?? "");
}

function scriptOf(text: string, personality: string): Script {
  const scripts = findScriptsInText(text).filter(
    (found) => (found.personality ?? personality) === personality,
  );
  return Object.assign({}, ...scripts.map(({ script }) => script)) as Script;
}

/** No connection, so no call. */
const saysUnsent = (record: CostRecord) => record.errorReason === ErrorReason.PROVIDER_UNREACHABLE;

function expectBilledAsRecorded(bench: FaultBench, pair: Matched): void {
  const { line, record } = pair;
  const where = `${line.state} ${JSON.stringify(line)} against ${describe(record)}`;
  expect(record.streamed, where).toBe(line.stream);
  if (line.state === "refused") expectRefused(pair, where);
  else if (record.usage?.source === UsageSource.REPORTED) expectExact(pair, where);
  else {
    const hidden = bench.calls.get(record.requestId)?.usageHidden ?? false;
    // What was completed, and whose usage reached the gateway, is never a guess.
    if (line.state === "completed" && record.outcome === AttemptOutcome.SUCCEEDED)
      expect(hidden, `not reported: ${where}`).toBe(true);
    expectFlagged(pair, where);
  }
}

function expectRefused({ record, script }: Matched, where: string): void {
  // An error disguised as a success may have cost something, and so may one that nobody waited for: both say so.
  const isDisguised = script.fault === "errorEvent" || script.fault === "html";
  const isUnheard = record.outcome === AttemptOutcome.CANCELLED;
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

/** Said to be a guess, and no worse a guess than it has to be. */
function expectFlagged(pair: Matched, where: string): void {
  const { line, record, script } = pair;
  const flagged =
    record.billingState === BillingState.UNKNOWN || record.usage?.source === UsageSource.ESTIMATED;
  expect(flagged, `not flagged: ${where}`).toBe(true);
  const { usage } = record;
  if (record.cost?.costUsd !== undefined) expect(record.cost.estimated, where).toBe(true);
  if (record.flags.includes("INPUT_REPORTED")) expectInputExact(line, usage, where);
  // The input is assumed to be billed; a provider that hung may not have begun to read it.
  if (line.tokensIn > 0 && script.tokensIn === undefined && script.cachedTokensIn === undefined)
    expect(usage?.tokensIn, where).toBe(BigInt(line.tokensIn));
  // Of a unary answer that never came nothing was seen.
  const sawOutput = line.stream || line.state === "completed";
  if (!sawOutput || record.outcome !== AttemptOutcome.SUCCEEDED) {
    const missed = BigInt(line.tokensOut) - (usage?.tokensOut ?? 0n);
    expect(missed, where).toBeGreaterThanOrEqual(0n);
    if (line.stream) expect(missed, where).toBeLessThanOrEqual(BigInt(unseenTokens(pair)));
  } else expect(usage?.tokensOut, where).toBe(BigInt(line.tokensOut));
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
  if (isProvidersFault && line.clientAbortedAfterMs === undefined) return script.reasoningTokens ?? 0;
  const delayMs = script.tokenDelayMs ?? 0;
  return delayMs === 0 ? line.tokensOut : Math.ceil(ABORT_REACHES_PROVIDER_MS / delayMs) + 1;
}

/** Nobody billed it: it costs nothing, or nobody could know whether it arrived and it says so. */
function expectUnsent(bench: FaultBench, record: CostRecord): void {
  if (record.billingState === BillingState.UNKNOWN && bench.calls.get(record.requestId)?.mayBeLost) return;
  expect(record.billingState, describe(record)).toBe(BillingState.NOT_BILLED);
  expect(costOf(record), describe(record)).toBe(0n);
}

/** What callers were told of their attempts is what the ledger says of them. */
function expectAnswersToAgree(bench: FaultBench, records: readonly CostRecord[]): void {
  const byId = new Map(records.map((record) => [record.attemptId, record]));
  for (const { attempts, requestId } of bench.outcomes) {
    for (const attempt of attempts) {
      const record = byId.get(attempt.attemptId);
      const same = record !== undefined && record.requestId === requestId && agree(attempt, record);
      expect(same, `${describe(attempt)} was answered, ${record && describe(record)} is on the ledger`).toBe(
        true,
      );
    }
  }
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

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
