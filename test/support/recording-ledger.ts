import { GatewayError } from "../../src/core/errors.ts";
import type { AttemptIntent, AttemptOutcome, Ledger, RequestLogEntry } from "../../src/core/ledger.ts";
import type { ReceivedOutput } from "../../src/core/provider-error.ts";
import type { CallMemory, Claim, Ending, Remembered } from "../../src/core/replay.ts";

/** When a write is durable, if ever. */
export type WriteBehaviour = () => Promise<void>;

export const accepts: WriteBehaviour = () => Promise.resolve();
export const hangsForEver: WriteBehaviour = () => new Promise(() => {});
export const isDurableAfter =
  (delayMs: number): WriteBehaviour =>
  () =>
    new Promise((resolve) => setTimeout(resolve, delayMs));
export const refuses: WriteBehaviour = () =>
  Promise.reject(new GatewayError("LEDGER_UNAVAILABLE", "the ledger cannot take a record now"));
export const breaksWith =
  (error: unknown): WriteBehaviour =>
  () =>
    Promise.reject(error);

type Step = "open" | "settle" | "finish" | "recall";

const keyOf = ({ apiKeyId, requestId }: Claim) => `${apiKeyId} ${requestId}`;

/** A ledger in memory that keeps the order of what it is told, and may refuse, hang or take its time. */
export class RecordingLedger implements Ledger, CallMemory {
  readonly opened: AttemptIntent[] = [];
  readonly settled: AttemptOutcome[] = [];
  readonly corrected: AttemptOutcome[] = [];
  readonly checkpoints: (ReceivedOutput & { readonly attemptId: string })[] = [];
  readonly finished: RequestLogEntry[] = [];
  readonly claims: (Claim & { readonly ordinal: number })[] = [];
  readonly ready = true;
  readonly #timeline: string[];
  readonly #remembered = new Map<string, Remembered>();
  readonly #behaviour: Record<Step, WriteBehaviour> = {
    open: accepts,
    settle: accepts,
    finish: accepts,
    recall: accepts,
  };

  constructor(timeline: string[] = []) {
    this.#timeline = timeline;
  }

  /** Changes what becomes of the writes from now on. */
  does(behaviour: Partial<Record<Step, WriteBehaviour>>): void {
    Object.assign(this.#behaviour, behaviour);
  }

  async open(intent: AttemptIntent, claim?: Claim): Promise<void> {
    this.#timeline.push(`open ${intent.ordinal}`);
    await this.#behaviour.open();
    this.opened.push(intent);
    if (claim) this.claims.push({ ...claim, ordinal: intent.ordinal });
    if (claim) this.#remembered.set(keyOf(claim), { ...claim, conclusion: "unknown" });
    this.#timeline.push(`opened ${intent.ordinal}`);
  }

  checkpoint(attemptId: string, received: ReceivedOutput): void {
    this.checkpoints.push({ attemptId, ...received });
  }

  async settle(outcome: AttemptOutcome): Promise<void> {
    this.settled.push(outcome);
    this.#timeline.push(`settle ${outcome.intent.ordinal}`);
    await this.#behaviour.settle();
    this.#timeline.push(`settled ${outcome.intent.ordinal}`);
  }

  async correct(outcome: AttemptOutcome): Promise<void> {
    this.corrected.push(outcome);
    this.#timeline.push(`correct ${outcome.intent.ordinal}`);
  }

  async finish(entry: RequestLogEntry, ending?: Ending): Promise<void> {
    this.finished.push(entry);
    this.#timeline.push("finish");
    await this.#behaviour.finish();
    if (ending) this.#conclude(ending);
    this.#timeline.push("finished");
  }

  async flush(): Promise<void> {}

  async recall(claim: Claim): Promise<Remembered | undefined> {
    this.#timeline.push("recall");
    await this.#behaviour.recall();
    return this.#remembered.get(keyOf(claim));
  }

  withdraw(): void {}

  #conclude({ claim, conclusion }: Ending): void {
    if (conclusion === "forgotten") this.#remembered.delete(keyOf(claim));
    else this.#remembered.set(keyOf(claim), { ...claim, conclusion });
  }

  /** The one row of the one request. */
  get onlyRequest(): RequestLogEntry {
    const [entry] = this.finished;
    if (!entry || this.finished.length !== 1)
      throw new Error(`expected one row, got ${this.finished.length}`);
    return entry;
  }
}
