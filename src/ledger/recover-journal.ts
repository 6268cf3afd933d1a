import type { AttemptIntent, AttemptOutcome } from "../core/ledger.ts";
import type { Price } from "../core/price.ts";
import type { ReceivedOutput } from "../core/provider-error.ts";
import type { Conclusion } from "../core/replay.ts";
import type { Journal } from "./journal.ts";
import { decodeIntent, decodePrice } from "./journal-codec.ts";
import type { ReplayJournal } from "./replay-journal.ts";
import type { ReplayOperation } from "./replay-table.ts";
import { chargeToJson, requestToJson } from "./stored-rows.ts";

export interface RecoveryOptions {
  /** Makes the outcome of an attempt that no process lived to see. */
  readonly settleOrphan: (intent: AttemptIntent, received: ReceivedOutput) => AttemptOutcome;
  /** Keeps what repetitions of requests get; without it, `claim` and `ending` are ignored. */
  readonly replays?: ReplayJournal;
  /** Makes what repetitions get of a call that no process lived to end. Without it, they learn only that. */
  readonly interruptedCall?: (orphans: readonly AttemptOutcome[]) => Conclusion;
}

/** What a start found in the journal. */
export interface Recovered {
  /** Attempts without an outcome, which were settled as unknown. */
  readonly orphans: number;
  /** Rows that the database may not have. */
  readonly rows: number;
  readonly prices: readonly Price[];
}

/**
 * Settles every attempt that the last process left open. The journal belongs to one process at a time, so that
 * process is dead and no outcome will come any more.
 *
 * Each request that lost an attempt gets its row, too, as failed for an internal reason: it can have none yet, since
 * a request's row is written after the outcomes of its attempts. The row's id is that of its last attempt, so a
 * recovery from a copy of the same journal writes the same rows.
 */
export async function recoverJournal(journal: Journal, options: RecoveryOptions): Promise<Recovered> {
  const { content } = journal;
  const prices = new Map(content.prices.map(decodePrice).map((price) => [price.priceId, price]));
  const requests = new Map<string, AttemptOutcome[]>();
  for (const { json, outputBytes, deltas } of content.intents) {
    const outcome = options.settleOrphan(decodeIntent(json, prices), { outputBytes, deltas });
    const request = JSON.stringify([outcome.intent.apiKeyId, outcome.intent.requestId]);
    requests.set(request, [...(requests.get(request) ?? []), outcome]);
  }
  const lost = [...requests.values()];
  const told = await Promise.all(lost.map((outcomes) => toldToRepetitions(outcomes, options)));
  await Promise.all(lost.map((outcomes, index) => settleRequest(journal, outcomes, told[index])));
  return { orphans: content.intents.length, rows: content.rows, prices: [...prices.values()] };
}

async function settleRequest(
  journal: Journal,
  outcomes: readonly AttemptOutcome[],
  told: ReplayOperation | undefined,
): Promise<void> {
  const charges = outcomes.map(
    (outcome) =>
      ({
        kind: "row",
        table: "cost_record",
        json: chargeToJson(outcome),
        priceId: outcome.intent.price?.priceId,
        attemptId: outcome.intent.attemptId,
      }) as const,
  );
  const intents = outcomes.map((outcome) => outcome.intent).toSorted((a, b) => a.ordinal - b.ordinal);
  const request = intents.at(-1);
  if (!request) return;
  const row = { kind: "row", table: "request_log", priceId: undefined, attemptId: undefined } as const;
  const rows = [...charges, { ...row, json: lostRequestToJson(request) }];
  await journal.add(told ? [...rows, told] : rows, "keep");
}

/** Of the call that can be repeated: one that nobody can repeat may share its request id. */
async function toldToRepetitions(
  outcomes: readonly AttemptOutcome[],
  { replays, interruptedCall }: RecoveryOptions,
): Promise<ReplayOperation | undefined> {
  const orphans = outcomes.filter(({ intent }) => intent.earlierAttempts);
  const [orphan] = orphans;
  if (!orphan || !replays || !interruptedCall) return undefined;
  return await replays.interruptedOperation(orphan.intent, interruptedCall(orphans));
}

function lostRequestToJson(lastAttempt: AttemptIntent): string {
  const { requestId, apiKeyId, provider, model, tags, endUser, occurredAt } = lastAttempt;
  return requestToJson(lastAttempt.attemptId, {
    ...{ requestId, apiKeyId, provider, model, tags, endUser, occurredAt },
    method: lastAttempt.method ?? (lastAttempt.streamed ? "StreamComplete" : "Complete"),
    requestedModel: `${provider}/${model}`,
    status: "error",
    errorReason: "INTERNAL",
    attempts: lastAttempt.ordinal,
    fellBack: false,
    latencyMs: 0,
    traceId: undefined,
  });
}
