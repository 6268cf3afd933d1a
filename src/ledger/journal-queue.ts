import { setTimeout as delay } from "node:timers/promises";
import { GatewayError } from "../core/errors.ts";
import type { JournalCommit, JournalOperation } from "./journal-store.ts";

/**
 * What becomes of an addition whose write fails: `keep` it and try until it is written, `refuse` it and take it back,
 * or `drop` it.
 */
export type FailurePolicy = "keep" | "refuse" | "drop";

export interface JournalQueueOptions {
  /** Makes the operations durable, all or none. */
  readonly commit: (operations: readonly JournalOperation[]) => Promise<JournalCommit>;
  /** Finds out whether the disk takes writes and has room for what may come. */
  readonly probe: () => Promise<void>;
  /** What was wrong at the beginning already. */
  readonly startError?: unknown;
  /** What the journal holds at the beginning. */
  readonly held: JournalCommit;
  /** Pauses after failures double from the first to the second. */
  readonly retryDelayMs: { readonly first: number; readonly max: number };
  readonly onWriteError: (error: unknown) => void;
}

/** Additions in one transaction at most. */
const MAX_BATCH = 1_000;

interface Addition {
  readonly operations: readonly JournalOperation[];
  readonly policy: FailurePolicy;
  readonly addedAtMs: number;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit that clocks itself: the next batch is sent when the last one is durable, so that a busy system writes
 * large batches and an idle one waits for nobody.
 */
export function createJournalQueue(options: JournalQueueOptions) {
  const { commit, probe, retryDelayMs, onWriteError } = options;
  const stopped = new AbortController();
  let queue: Addition[] = [];
  let writing: readonly Addition[] = [];
  let running = false;
  let failures = 0;
  let { lastSequence, usedBytes } = options.held;

  async function run(): Promise<void> {
    while ((queue.length > 0 || failures > 0) && !stopped.signal.aborted) {
      // What makes room needs little itself, and must not fail with what needs more.
      writing = queue.splice(0, failures > 0 && queue.slice(0, 1).some(isTrim) ? 1 : MAX_BATCH);
      try {
        if (writing.length > 0) await writeBatch();
        // After a failure, outcomes are written as far as they can be, and intents wait until there is room again.
        if (failures > 0) await probe();
        failures = 0;
      } catch (error) {
        await failed(error);
      }
    }
    running = false;
  }

  async function writeBatch(): Promise<void> {
    const operations: JournalOperation[] = [];
    for (const addition of writing) operations.push(...addition.operations);
    const done = await commit(operations);
    lastSequence = Math.max(lastSequence, done.lastSequence);
    ({ usedBytes } = done);
    for (const addition of writing) addition.resolve();
    writing = [];
  }

  async function failed(error: unknown): Promise<void> {
    failures += 1;
    const kept = writing.flatMap((addition) =>
      addition.policy === "keep" ? [withoutAnswers(addition)] : takeBack(addition),
    );
    const dropped = [...writing, ...queue].filter(({ policy }) => policy !== "keep");
    const waiting = [...kept, ...queue.filter(({ policy }) => policy === "keep").map(withoutAnswers)];
    queue = [...waiting.filter(isTrim), ...waiting.filter((addition) => !isTrim(addition))];
    writing = [];
    for (const { policy, resolve, reject } of dropped) {
      if (policy === "drop") resolve();
      else reject(unavailable(error));
    }
    onWriteError(error);
    const pauseMs = Math.min(retryDelayMs.max, retryDelayMs.first * 2 ** Math.min(failures - 1, 20));
    await delay(pauseMs, undefined, { signal: stopped.signal }).catch(() => {});
  }

  /** A failed commit may be found in the file after all, and an intent in it would look like a lost attempt. */
  function takeBack({ operations, policy }: Addition): Addition[] {
    const discards = operations.flatMap((operation): JournalOperation[] => {
      if (operation.kind === "claim") return [{ kind: "release", callKey: operation.callKey }];
      return operation.kind === "open" ? [{ kind: "discard", attemptId: operation.attemptId }] : [];
    });
    if (policy === "drop" || discards.length === 0) return [];
    const nobodyWaits = { done: Promise.resolve(), resolve: () => {}, reject: () => {} };
    return [{ operations: discards, policy: "keep", addedAtMs: performance.now(), ...nobodyWaits }];
  }

  if (options.startError !== undefined) {
    running = true;
    void failed(options.startError).then(run);
  }
  return {
    add(operations: readonly JournalOperation[], policy: FailurePolicy): Promise<void> {
      if (failures > 0 && policy === "refuse") return Promise.reject(unavailable(undefined));
      if (failures > 0 && policy === "drop") return Promise.resolve();
      const { promise: done, resolve, reject } = Promise.withResolvers<void>();
      const made = { operations, policy, addedAtMs: performance.now(), done, resolve, reject };
      const addition = failures > 0 ? withoutAnswers(made) : made;
      // What makes room goes before what needs it.
      if (isTrim(addition)) queue.unshift(addition);
      else queue.push(addition);
      if (!running) {
        running = true;
        // What arrives in this turn of the event loop shares the first batch.
        setImmediate(() => void run());
      }
      return done;
    },
    get lastSequence(): number {
      return lastSequence;
    },
    get usedBytes(): number {
      return usedBytes;
    },
    get depth(): number {
      return writing.length + queue.length;
    },
    get oldestAgeMs(): number {
      const oldest = writing[0] ?? queue[0];
      return oldest ? performance.now() - oldest.addedAtMs : 0;
    },
    get failing(): boolean {
      return failures > 0;
    },
    async flush(): Promise<void> {
      await Promise.allSettled([...writing, ...queue].map(({ done }) => done));
    },
    stop(): void {
      stopped.abort();
    },
  };
}

const isTrim = ({ operations }: Addition): boolean => operations[0]?.kind === "trim";

/** Outcomes wait in memory while the disk fails. Answers are too large for that, and only save a repetition. */
function withoutAnswers(addition: Addition): Addition {
  const operations = addition.operations.map((operation) =>
    operation.kind === "conclude" ? { ...operation, sealed: undefined } : operation,
  );
  return { ...addition, operations };
}

const unavailable = (cause: unknown) =>
  new GatewayError("LEDGER_UNAVAILABLE", "the ledger cannot take a record now", { cause });
