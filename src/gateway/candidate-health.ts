import { BoundedMap } from "../core/bounded-map.ts";
import type { Clock } from "../core/clock.ts";
import type { CallMethod } from "../core/ledger.ts";
import { type Candidate, candidateName } from "../core/model-name.ts";
import type { Telemetry } from "../core/telemetry.ts";
import {
  type CircuitBreaker,
  type CircuitBreakerOptions,
  createCircuitBreaker,
  DEFAULT_CIRCUIT_BREAKER,
} from "../resilience/circuit-breaker.ts";
import { createLatencyTracker, type LatencyTracker } from "../resilience/latency-tracker.ts";

/** What is known of one candidate's recent behaviour. */
export interface CandidateHealth {
  readonly breaker: CircuitBreaker;
  /** By what was asked for: of whole answers, and of the first tokens of streams. */
  readonly latency: Readonly<Record<CallMethod, LatencyTracker>>;
}

export interface CandidateHealthRegistry {
  of(candidate: Candidate): CandidateHealth;
}

/** Callers choose model names, so the number of candidates that are remembered is bounded. */
const MAX_CANDIDATES = 1_000;

export function createCandidateHealthRegistry(
  clock: Clock,
  telemetry: Telemetry,
  breakerOptions: CircuitBreakerOptions = DEFAULT_CIRCUIT_BREAKER,
): CandidateHealthRegistry {
  const known = new BoundedMap<string, CandidateHealth>(MAX_CANDIDATES);
  return {
    of(candidate) {
      return known.getOrCreate(candidateName(candidate), () => ({
        breaker: createCircuitBreaker(
          clock,
          (state) => telemetry.breakerChanged({ ...candidate, state }),
          breakerOptions,
        ),
        latency: {
          Complete: createLatencyTracker(clock),
          StreamComplete: createLatencyTracker(clock),
          Embed: createLatencyTracker(clock),
        },
      }));
    },
  };
}
