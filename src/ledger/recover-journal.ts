import type { AttemptIntent, AttemptOutcome } from "../core/ledger.ts";
import type { Price } from "../core/price.ts";
import type { ReceivedOutput } from "../core/provider-error.ts";
import type { Journal } from "./journal.ts";
import { decodeIntent, decodePrice } from "./journal-codec.ts";
import { chargeToJson, requestToJson } from "./stored-rows.ts";

export type SettleOrphan = (intent: AttemptIntent, received: ReceivedOutput) => AttemptOutcome;

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
export async function recoverJournal(journal: Journal, settleOrphan: SettleOrphan): Promise<Recovered> {
  const { content } = journal;
  const prices = new Map(content.prices.map(decodePrice).map((price) => [price.priceId, price]));
  const requests = new Map<string, AttemptOutcome[]>();
  for (const { json, outputBytes, deltas } of content.intents) {
    const outcome = settleOrphan(decodeIntent(json, prices), { outputBytes, deltas });
    const request = JSON.stringify([outcome.intent.apiKeyId, outcome.intent.requestId]);
    requests.set(request, [...(requests.get(request) ?? []), outcome]);
  }
  await Promise.all([...requests.values()].map((outcomes) => settleRequest(journal, outcomes)));
  return { orphans: content.intents.length, rows: content.rows, prices: [...prices.values()] };
}

async function settleRequest(journal: Journal, outcomes: readonly AttemptOutcome[]): Promise<void> {
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
  await journal.add([...charges, { ...row, json: lostRequestToJson(request) }], "keep");
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
