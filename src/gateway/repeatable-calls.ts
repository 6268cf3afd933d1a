import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { CompletionError, type GatewayCall, type ModelCall } from "../core/gateway.ts";
import type { RateLimiter } from "../core/keys.ts";
import type { CallMethod } from "../core/ledger.ts";
import type { CallMemory, Claim, Conclusion, Delivered, Ending, Remembered } from "../core/replay.ts";
import { beforeAbort } from "../resilience/before-abort.ts";
import type { Router } from "../routing/router.ts";
import { admit } from "./admit.ts";
import type { Executed } from "./execute-call.ts";
import type { Fingerprint } from "./fingerprint.ts";
import { failedBefore, failedTogether, nothingToReplay, requestIdReused } from "./replay-error.ts";
import { createRequestScope, type RequestScope } from "./request-scope.ts";
import type { Answered } from "./run-attempt.ts";

export interface RepeatableCallsDependencies {
  readonly clock: Clock;
  readonly router: Pick<Router, "route">;
  readonly limiter: RateLimiter;
  readonly memory: CallMemory;
  readonly fingerprint: Fingerprint;
}

/** What goes on the ledger for the repetitions of one call. */
export interface CallRecord<A extends Answered> {
  readonly claim: Claim;
  /** Told once how the call ended; writes that. */
  conclude(end: Executed<A> | CompletionError, write: (ending: Ending) => Promise<void>): Promise<void>;
}

/** One repeatable call: how it is made, and how its caller is told again what an earlier one came to. */
export interface RepeatableCall<A extends Answered, R> {
  readonly call: ModelCall;
  readonly method: CallMethod;
  execute(record: CallRecord<A>): Promise<R>;
  /** What repetitions of a call that ended well get. */
  conclusionOf(end: Executed<A>): Conclusion | "not_kept";
  /** What a stream has delivered so far. */
  delivered(): Delivered | "too_large" | undefined;
  /** Sends this caller what a stream delivered. */
  redeliver(delivered: Delivered): Promise<void>;
  /** The earlier result as this caller's. */
  replay(conclusion: Exclude<Conclusion, { kind: "failed" }>): R;
}

/** Repetitions that may wait for the end of one call; more are refused with OVERLOADED. */
export const MAX_WAITING_REPETITIONS = 100;

/** How a call ended, for those that wait for it. */
type Landing =
  | { readonly kind: "remembered"; readonly remembered: Remembered }
  /** Without cost: those that waited fail with it, and whoever asks later runs anew. */
  | { readonly kind: "failed"; readonly error: unknown }
  /** Without cost, because its own caller left or its own deadline passed: that concerns no one else. */
  | { readonly kind: "abandoned" };

/** A call that runs in this process. */
interface Flight {
  readonly fingerprint: string;
  /** Resolves once it is known that the call was not made before; or, if it was, after `landed`. */
  readonly begun: PromiseWithResolvers<void>;
  readonly landed: PromiseWithResolvers<Landing>;
  /** It cost nothing; resolves once that is on record, so that it may run anew. */
  forgotten: Promise<void> | undefined;
  waiting: number;
}

/**
 * Makes a call once, however often it is asked for under its request id. The first one runs; those that come while
 * it does wait for its end, within their own deadlines; later ones are answered from memory.
 */
export function createRepeatableCalls(dependencies: RepeatableCallsDependencies) {
  const { memory, clock } = dependencies;
  const flights = new Map<string, Flight>();

  const land = (key: string, flight: Flight, landing: Landing): void => {
    if (flights.get(key) === flight) flights.delete(key);
    flight.landed.resolve(landing);
    flight.begun.resolve();
  };

  /** Tells those that wait how a call ended, once that is on record. */
  const landWhenDurable = (key: string, flight: Flight, landing: Landing, durable: Promise<void>): void => {
    if (landing.kind === "remembered") {
      durable.then(
        () => land(key, flight, landing),
        (error: unknown) => land(key, flight, { kind: "failed", error }),
      );
      return;
    }
    flight.landed.resolve(landing);
    const forget = () => land(key, flight, landing);
    flight.forgotten = durable.then(forget, forget);
  };

  async function lead<A extends Answered, R>(
    repeatable: RepeatableCall<A, R>,
    claim: Claim,
    key: string,
  ): Promise<R> {
    const flight: Flight = {
      fingerprint: claim.fingerprint,
      begun: Promise.withResolvers(),
      landed: Promise.withResolvers(),
      forgotten: undefined,
      waiting: 0,
    };
    flights.set(key, flight);
    let isNew = false;
    let concluded = false;
    try {
      const remembered = await withScope(clock, repeatable.call, (scope) =>
        within(scope, memory.recall(claim, scope)),
      );
      if (remembered) {
        land(key, flight, { kind: "remembered", remembered });
        const admission = await admit(dependencies.limiter, repeatable.call, 0);
        admission.release(0);
        return await repeat(repeatable, claim, remembered);
      }
      isNew = true;
      flight.begun.resolve();
      return await repeatable.execute({
        claim,
        conclude(end, write) {
          concluded = true;
          const ending = endingOf(repeatable, claim, end);
          const durable = write(ending);
          durable.catch(() => memory.withdraw(claim));
          landWhenDurable(key, flight, landingOf(ending, end), durable);
          return durable;
        },
      });
    } catch (error) {
      if (!concluded) {
        if (isNew) memory.withdraw(claim);
        land(key, flight, failureLanding(error));
      }
      throw error;
    }
  }

  /** Waits for the end of a call that runs. */
  async function follow(flight: Flight, claim: Claim, call: GatewayCall): Promise<Landing> {
    if (flight.waiting >= MAX_WAITING_REPETITIONS)
      throw new GatewayError("OVERLOADED", "too many repetitions wait for the end of this call");
    flight.waiting += 1;
    // It counts as a request and as one at a time, but uses no tokens.
    const admission = await admit(dependencies.limiter, call, 0).catch((error: unknown) => {
      flight.waiting -= 1;
      throw error;
    });
    try {
      return await withScope(clock, call, async (scope) => {
        if (flight.forgotten) {
          await within(scope, flight.forgotten);
          return { kind: "abandoned" };
        }
        await within(scope, flight.begun.promise);
        const differs = flight.fingerprint !== claim.fingerprint;
        // Of one that landed it is not known here whose content was remembered.
        if (differs && flights.get(keyOf(claim)) === flight) return refuse(call);
        return await within(scope, flight.landed.promise);
      });
    } finally {
      admission.release(0);
      flight.waiting -= 1;
    }
  }

  return {
    async run<A extends Answered, R>(repeatable: RepeatableCall<A, R>): Promise<R> {
      const { call, method } = repeatable;
      // A repetition needs the same rights as the call.
      dependencies.router.route(call, method);
      const claim: Claim = {
        apiKeyId: call.principal.apiKeyId,
        requestId: call.requestId,
        fingerprint: dependencies.fingerprint(method, call),
      };
      const key = keyOf(claim);
      for (;;) {
        const flight = flights.get(key);
        if (!flight) return await lead(repeatable, claim, key);
        const landing = await follow(flight, claim, call);
        if (landing.kind === "remembered") return await repeat(repeatable, claim, landing.remembered);
        if (landing.kind === "failed") {
          if (landing.error instanceof CompletionError) call.telemetry.replayed("failed");
          throw failedTogether(landing.error);
        }
      }
    },
  };
}

/** The method is a part of the fingerprint. */
export const otherMethod = () => new TypeError("the answer of one method cannot be replayed by another");

/** Neither part can contain the space. */
const keyOf = ({ apiKeyId, requestId }: Claim) => `${apiKeyId} ${requestId}`;

function refuse(call: GatewayCall): never {
  call.telemetry.replayed("refused");
  throw requestIdReused();
}

/** Tells a caller what the same call came to before. */
async function repeat<A extends Answered, R>(
  repeatable: RepeatableCall<A, R>,
  claim: Claim,
  { fingerprint, conclusion }: Remembered,
): Promise<R> {
  const { telemetry } = repeatable.call;
  if (fingerprint !== claim.fingerprint) return refuse(repeatable.call);
  if (conclusion === "unknown" || conclusion === "not_kept") {
    telemetry.replayed("refused");
    throw nothingToReplay(conclusion);
  }
  telemetry.replayed(conclusion.kind === "failed" ? "failed" : "answered");
  if ("delivered" in conclusion && conclusion.delivered) await repeatable.redeliver(conclusion.delivered);
  if (conclusion.kind === "failed") throw failedBefore(conclusion);
  return repeatable.replay(conclusion);
}

function endingOf<A extends Answered, R>(
  { conclusionOf, delivered }: RepeatableCall<A, R>,
  claim: Claim,
  end: Executed<A> | CompletionError,
): Ending {
  if (!(end instanceof CompletionError)) return { claim, conclusion: conclusionOf(end) };
  const mayHaveCost = end.attempts.some(({ billingState }) => billingState !== "not_billed");
  if (!mayHaveCost) return { claim, conclusion: "forgotten" };
  const { reason, message, metadata, attempts } = end;
  const soFar = delivered();
  if (soFar === "too_large") return { claim, conclusion: "not_kept" };
  return { claim, conclusion: { kind: "failed", reason, message, metadata, attempts, delivered: soFar } };
}

function landingOf<A extends Answered>(
  { claim, conclusion }: Ending,
  end: Executed<A> | CompletionError,
): Landing {
  if (conclusion === "forgotten") return failureLanding(end);
  return { kind: "remembered", remembered: { fingerprint: claim.fingerprint, conclusion } };
}

function failureLanding(error: unknown): Landing {
  const { reason } = GatewayError.from(error);
  return reason === "CANCELLED" || reason === "DEADLINE_EXCEEDED"
    ? { kind: "abandoned" }
    : { kind: "failed", error };
}

async function withScope<T>(
  clock: Clock,
  call: GatewayCall,
  work: (scope: RequestScope) => Promise<T>,
): Promise<T> {
  const { deadlineAtMs, signal } = call;
  const scope = createRequestScope({ clock, deadlineAtMs, callerSignal: signal });
  try {
    return await work(scope);
  } finally {
    scope.dispose();
  }
}

/** @throws ProviderError DEADLINE_EXCEEDED or CANCELLED when the request ends first */
async function within<T>(scope: RequestScope, work: Promise<T>): Promise<T> {
  work.catch(() => {});
  if (await beforeAbort(work, scope.signal)) return await work;
  throw scope.endedBy() ?? new GatewayError("INTERNAL", "the request ended without a reason");
}
