import type { Clock } from "../core/clock.ts";
import type { Candidate } from "../core/model-name.ts";
import { ProviderError } from "../core/provider-error.ts";
import { LostRaceError, lostRace } from "./lost-race.ts";
import type { RequestScope } from "./request-scope.ts";
import type { Answered, AttemptEnd } from "./run-attempt.ts";
import type { CandidateEnd, ChainOptions } from "./run-chain.ts";

export interface Race<A extends Answered> {
  readonly clock: Clock;
  readonly primary: Candidate;
  readonly hedge: Candidate;
  /** Counted from the primary's first call. */
  readonly hedgeAfterMs: number;
  /** Asked when the primary has taken so long. */
  readonly mayHedge: () => boolean;
  /** Would the hedge be asked after the primary ended so? */
  readonly isFollowed: (end: CandidateEnd<A>) => boolean;
  readonly ask: (candidate: Candidate, options: ChainOptions<A>) => Promise<CandidateEnd<A>>;
}

/**
 * Asks the primary candidate and, when it takes too long, the hedge beside it. The first that has something to deliver
 * wins; the other is given up at once, and its attempt is settled when this resolves. When one fails, the other goes on.
 *
 * Resolves with how they ended, in the order of the chain, without the one that lost: as if they had been asked one after
 * the other. So what ends a chain ends the race as well.
 * @throws as `ask` does, unless the other one answered
 */
export async function raceCandidates<A extends Answered>(
  options: ChainOptions<A>,
  race: Race<A>,
): Promise<readonly CandidateEnd<A>[]> {
  const { clock, hedgeAfterMs, mayHedge } = race;
  const primary = new Lane<A>(options.scope);
  const hedge = new Lane<A>(options.scope);
  let winner: Lane<A> | undefined;
  let firstOverAtMs: number | undefined;
  const start = async (lane: Lane<A>, candidate: Candidate, invoke = options.invoke): Promise<void> => {
    lane.end = await settled(
      race.ask(candidate, {
        ...options,
        invoke,
        scope: lane,
        mayDeliver() {
          if (!lostRace(lane.signal)) winner ??= lane;
          if (winner !== lane) return false;
          (lane === primary ? hedge : primary).lose();
          return true;
        },
        onAttempt: (end) => lane.attempts.push(end),
      }),
    );
    firstOverAtMs ??= clock.monotonicMs();
  };

  let timer: NodeJS.Timeout | undefined;
  let hedging: { readonly over: Promise<void>; readonly startedAtMs: number } | undefined;
  const onSlow = () => {
    if (winner || !mayHedge()) return;
    hedging = { over: start(hedge, race.hedge), startedAtMs: clock.monotonicMs() };
  };
  await start(primary, race.primary, (...call) => {
    // Not before it is called: how long the ledger takes says nothing of the candidate.
    timer ??= setTimeout(onSlow, hedgeAfterMs);
    return options.invoke(...call);
  });
  clearTimeout(timer);
  if (hedging) {
    const { end } = primary;
    // Whoever would not be asked next gives no answer because it happens to be asked already.
    const isFollowed = end && end.kind !== "broke" && race.isFollowed(end);
    if (!winner && !isFollowed) hedge.lose();
    await hedging.over;
    options.call.telemetry.hedged({
      fromProvider: race.primary.provider,
      toProvider: race.hedge.provider,
      won: winner === hedge,
      overlapMs: (firstOverAtMs ?? hedging.startedAtMs) - hedging.startedAtMs,
    });
  }
  // The last attempt of a request is the one that decided it.
  const inOrder = winner === primary ? [hedge, primary] : [primary, hedge];
  for (const { attempts } of inOrder) attempts.forEach(options.onAttempt);
  primary.dispose();
  hedge.dispose();
  return endsOf([primary, hedge]);
}

type LaneEnd<A extends Answered> =
  | CandidateEnd<A>
  /** By a defect, or because its attempt could not be put on record. */
  | { readonly kind: "broke"; readonly thrown: unknown };

async function settled<A extends Answered>(asked: Promise<CandidateEnd<A>>): Promise<LaneEnd<A>> {
  try {
    return await asked;
  } catch (thrown) {
    return { kind: "broke", thrown };
  }
}

function endsOf<A extends Answered>(lanes: readonly Lane<A>[]): readonly CandidateEnd<A>[] {
  const ends: CandidateEnd<A>[] = [];
  for (const { end, signal } of lanes) {
    if (!end || lostRace(signal)) continue;
    if (end.kind === "broke") throw end.thrown;
    ends.push(end);
    if (end.kind === "answered") break;
  }
  return ends;
}

/** One candidate's part of a request: it ends with the request, or earlier when the race is lost. */
class Lane<A extends Answered> implements RequestScope {
  readonly signal: AbortSignal;
  readonly attempts: AttemptEnd<A>[] = [];
  /** Undefined while it runs, and when it was never asked. */
  end: LaneEnd<A> | undefined;
  readonly #request: RequestScope;
  readonly #controller = new AbortController();
  readonly #onRequestOver = () => this.#controller.abort(this.#request.signal.reason);

  constructor(request: RequestScope) {
    this.#request = request;
    this.signal = this.#controller.signal;
    if (request.signal.aborted) this.#onRequestOver();
    else request.signal.addEventListener("abort", this.#onRequestOver, { once: true });
  }

  /** Whoever has ended by itself has not lost. */
  lose(): void {
    if (!this.end) this.#controller.abort(new LostRaceError());
  }

  remainingMs(): number {
    return this.#request.remainingMs();
  }

  endedBy(): ProviderError | undefined {
    const { reason } = this.signal;
    return this.#request.endedBy() ?? (reason instanceof ProviderError ? reason : undefined);
  }

  dispose(): void {
    this.#request.signal.removeEventListener("abort", this.#onRequestOver);
  }
}
