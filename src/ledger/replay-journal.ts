import { hash } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { CallMemory, Claim, Conclusion, Ending, Remembered } from "../core/replay.ts";
import type { Journal } from "./journal.ts";
import { decodeConclusion, encodeConclusion } from "./replay-codec.ts";
import type { ReplaySeal } from "./replay-seal.ts";
import type { ReplayOperation, StoredReplay } from "./replay-table.ts";

export interface ReplayJournalOptions {
  readonly journal: Journal;
  readonly seal: ReplaySeal;
  readonly clock: Clock;
  /** How long answers are kept; 0 keeps none. Claims are kept as long, and 24 hours at least. @default 24 h */
  readonly answerTtlMs?: number;
  /** A larger answer is not kept. @default 1 MiB */
  readonly maxAnswerBytes?: number;
}

/** What the journal remembers of repeatable calls. */
export interface ReplayJournal extends CallMemory {
  /** To become durable with the call's first intent. */
  claimOperation(claim: Claim): ReplayOperation;
  /** To become durable with the request's row. */
  endOperation(ending: Ending): ReplayOperation;
  /**
   * To become durable with the records of a claimed call that was interrupted; undefined when nothing would be told of it.
   */
  interruptedOperation(
    call: Pick<Claim, "apiKeyId" | "requestId">,
    conclusion: Conclusion,
  ): Promise<ReplayOperation | undefined>;
  /** Told when an operation of `endOperation` is durable. */
  durable(claim: Claim, operation: ReplayOperation): void;
  /** What is durable of it here. */
  find(call: Pick<Claim, "apiKeyId" | "requestId">): Promise<StoredReplay | undefined>;
  /** What was sealed for the claim; undefined when it cannot be read. */
  open(sealed: Uint8Array, claim: Claim): Conclusion | undefined;
  /** Stops forgetting what expires. */
  stop(): void;
}

export const DEFAULT_REPLAY_TTL_MS = 86_400_000;
export const DEFAULT_MAX_ANSWER_BYTES = 1_048_576;
/** For the times in which no call comes, which would forget what has expired on its way. */
const SWEEP_INTERVAL_MS = 10_000;
/** 128 bits: no two calls of a gateway share it. */
const CALL_KEY_BYTES = 16;

export function createReplayJournal(options: ReplayJournalOptions): ReplayJournal {
  const { journal, seal, clock } = options;
  const { answerTtlMs = DEFAULT_REPLAY_TTL_MS, maxAnswerBytes = DEFAULT_MAX_ANSWER_BYTES } = options;
  const claimTtlMs = Math.max(answerTtlMs, DEFAULT_REPLAY_TTL_MS);
  const nowMs = () => clock.now().getTime();
  const sweep = setInterval(() => {
    void journal.add([{ kind: "sweep", nowMs: nowMs() }], "drop");
  }, SWEEP_INTERVAL_MS).unref();

  const sealConclusion = ({ claim, conclusion }: Ending): Uint8Array | undefined => {
    if (answerTtlMs === 0 || conclusion === "forgotten" || conclusion === "not_kept") return undefined;
    const plain = encodeConclusion(conclusion);
    return plain.byteLength > maxAnswerBytes ? undefined : seal.seal(plain, ownerOf(claim));
  };

  const concludeOperation = (
    end: Pick<Extract<ReplayOperation, { kind: "conclude" }>, "callKey" | "ended" | "sealed">,
  ): ReplayOperation => ({
    ...{ kind: "conclude", ...end },
    ...{ nowMs: nowMs(), expiresAtMs: nowMs() + answerTtlMs },
  });

  const open = (sealed: Uint8Array, claim: Claim): Conclusion | undefined => {
    const plain = seal.open(sealed, ownerOf(claim));
    return plain && decodeConclusion(plain);
  };

  const find: ReplayJournal["find"] = (call) => journal.recall(callKeyOf(call), nowMs());

  return {
    ...{ find, open },
    durable: () => {},
    withdraw: () => {},
    claimOperation: (claim) => ({
      kind: "claim",
      callKey: callKeyOf(claim),
      fingerprint: claim.fingerprint,
      nowMs: nowMs(),
      expiresAtMs: nowMs() + claimTtlMs,
    }),
    endOperation(ending) {
      const callKey = callKeyOf(ending.claim);
      if (ending.conclusion === "forgotten") return { kind: "release", callKey };
      const sealed = sealConclusion(ending);
      return concludeOperation({ callKey, ended: true, sealed });
    },
    async interruptedOperation(call, conclusion) {
      const callKey = callKeyOf(call);
      const stored = await find(call);
      if (!stored || stored.concluded) return undefined;
      const sealed = sealConclusion({ claim: { ...call, fingerprint: stored.fingerprint }, conclusion });
      return sealed && concludeOperation({ callKey, ended: false, sealed });
    },
    async recall(claim): Promise<Remembered | undefined> {
      const stored = await find(claim).catch((cause: unknown) => {
        throw new GatewayError("LEDGER_UNAVAILABLE", "the ledger cannot be read now", { cause });
      });
      if (!stored) return undefined;
      const { fingerprint, concluded, sealed } = stored;
      const told = sealed && open(sealed, { ...claim, fingerprint });
      return { fingerprint, conclusion: told ?? (concluded ? "not_kept" : "unknown") };
    },
    stop: () => clearInterval(sweep),
  };
}

/** Neither part of the first two can contain the space. */
const ownerOf = ({ apiKeyId, requestId, fingerprint }: Claim) => `${apiKeyId} ${requestId} ${fingerprint}`;

function callKeyOf({ apiKeyId, requestId }: Pick<Claim, "apiKeyId" | "requestId">): Uint8Array {
  return new Uint8Array(hash("sha256", `${apiKeyId} ${requestId}`, "buffer").subarray(0, CALL_KEY_BYTES));
}
