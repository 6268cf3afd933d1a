import { setTimeout as delay } from "node:timers/promises";
import type { Caller, Claim, Remembered } from "../core/replay.ts";
import type { ReplayJournal } from "./replay-journal.ts";
import type { SharedReplay, SharedReplayStore } from "./shared-replay-store.ts";

export interface SharedReplaysOptions {
  readonly store: SharedReplayStore;
  /** This process, as the store knows it. */
  readonly owner: string;
  /** Told at the first failure of an outage. */
  readonly onUnavailable: (error: unknown) => void;
  /** The database answers within this, or is done without. @default 500 ms */
  readonly maxWaitMs?: number;
  /** It is not asked again for so long. @default 2 s */
  readonly pauseMs?: number;
}

export const DEFAULT_SHARED_WAIT_MS = 500;
const DEFAULT_PAUSE_MS = 2_000;
/** Between two looks at a call that another process makes. */
const POLL_MS = { first: 20, max: 250 };
/** After its deadline a call may take so long until its end is told. */
const END_GRACE_MS = 60_000;
const SWEEP_INTERVAL_MS = 30_000;

/**
 * Adds what other processes know of a call, through the database that they share. A call that another one makes is
 * waited for; one whose process does not tell its end in time is unknown. While the database is away each process
 * goes by its own journal, and a repetition that reaches another one is made again.
 */
export function withSharedReplays(local: ReplayJournal, options: SharedReplaysOptions): ReplayJournal {
  const { store, owner, maxWaitMs = DEFAULT_SHARED_WAIT_MS, pauseMs = DEFAULT_PAUSE_MS } = options;
  let awayUntilMs = Number.NEGATIVE_INFINITY;
  let away = false;

  const failed = (error: unknown): void => {
    awayUntilMs = performance.now() + pauseMs;
    if (!away) options.onUnavailable(error);
    away = true;
  };
  const inBackground = (work: Promise<void>): void => void work.catch(failed);
  const sweep = setInterval(() => inBackground(store.sweep()), SWEEP_INTERVAL_MS).unref();

  async function claimOrFind(
    claim: Claim,
    { caller, mayBeFree }: { readonly caller: Caller; readonly mayBeFree: boolean },
  ): Promise<Remembered | "running" | "free" | undefined> {
    if (mayBeFree && (await store.claim(claim, caller.remainingMs() + END_GRACE_MS))) return undefined;
    const found = await store.find(claim);
    return found ? read(found, { claim, owner, open: local.open }) : "free";
  }

  /** Undefined when the call is this process's to make, or the database does not say whether it is. */
  async function recallShared(claim: Claim, caller: Caller): Promise<Remembered | undefined> {
    let mayBeFree = true;
    let runsElsewhere = false;
    for (let waitMs = POLL_MS.first; !caller.signal.aborted; waitMs = Math.min(POLL_MS.max, waitMs * 2)) {
      // Once another process was seen at it, it is not made here, whatever becomes of the database.
      if (performance.now() < awayUntilMs && !runsElsewhere) return undefined;
      let found: Awaited<ReturnType<typeof claimOrFind>>;
      try {
        found = await withinTime(claimOrFind(claim, { caller, mayBeFree }), maxWaitMs);
        away = false;
      } catch (error) {
        failed(error);
        if (!runsElsewhere) return undefined;
        found = "running";
      }
      if (typeof found === "object") return found;
      if (found === undefined) {
        // Nobody waits any more: it will not be made.
        if (caller.signal.aborted) inBackground(store.release(claim));
        return undefined;
      }
      mayBeFree = found === "free";
      runsElsewhere = found === "running";
      if (!mayBeFree) await delay(waitMs, undefined, { signal: caller.signal }).catch(() => {});
    }
    return undefined;
  }

  return {
    ...local,
    async recall(claim, caller) {
      return (await local.recall(claim, caller)) ?? (await recallShared(claim, caller));
    },
    withdraw(claim) {
      inBackground(store.release(claim));
    },
    durable(claim, operation) {
      if (operation.kind === "release") inBackground(store.release(claim));
      else if (operation.kind === "conclude") inBackground(store.conclude(claim, operation));
    },
    stop() {
      clearInterval(sweep);
      local.stop();
    },
  };
}

/** What a row says: the end of the call, or that it runs elsewhere, or that it is this process's (undefined). */
function read(
  { fingerprint, concluded, overdue, sealed, ...found }: SharedReplay,
  {
    claim,
    owner,
    open,
  }: { readonly claim: Claim; readonly owner: string; readonly open: ReplayJournal["open"] },
): Remembered | "running" | undefined {
  const told = sealed && open(sealed, claim);
  if (concluded) return { fingerprint, conclusion: told ?? "not_kept" };
  // Claimed by this process, too late to be heard of: no such call runs here.
  if (found.owner === owner && !overdue) return undefined;
  if (overdue || fingerprint !== claim.fingerprint) return { fingerprint, conclusion: told ?? "unknown" };
  return "running";
}

/** Of a process's calls that were under way at once, so many are told of after its death. */
const MAX_TOLD = 1_000;

/**
 * Tells the other processes what the journal knows of calls that its last process did not live to tell the end of: the
 * start has settled those that it interrupted. What the journal does not know stays as it is.
 */
export async function tellOfPredecessor(
  local: Pick<ReplayJournal, "find">,
  predecessor: Pick<SharedReplayStore, "running" | "conclude">,
): Promise<void> {
  const tell = async (claim: Claim): Promise<void> => {
    const stored = await local.find(claim);
    if (stored?.fingerprint !== claim.fingerprint) return;
    const { concluded: ended, sealed } = stored;
    if (ended || sealed) await predecessor.conclude(claim, { ended, sealed });
  };
  await Promise.all((await predecessor.running(MAX_TOLD)).map(tell));
}

async function withinTime<T>(work: Promise<T>, maxMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the database did not answer within ${maxMs} ms`)), maxMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}
