import type { Counter } from "prom-client";
import { SumsByValues } from "./sums.ts";

/** What every call counts, by label values. */
export function createCallSums() {
  return {
    /** By method and code. */
    calls: new SumsByValues({ calls: 0 }),
    /** By API key, provider and status. */
    requests: new SumsByValues({ requests: 0 }),
    /** By provider, model, outcome and error type. */
    attempts: new SumsByValues({ attempts: 0 }),
    /** By API key, provider, model, billing state and usage source. */
    settlements: new SumsByValues({
      settlements: 0,
      /** Those of them with a cost. */
      priced: 0,
      costUsd: 0,
      uncachedTokensIn: 0,
      cacheReadTokensIn: 0,
      cacheWriteTokensIn: 0,
      textTokensOut: 0,
      reasoningTokensOut: 0,
    }),
  };
}

/** Tells the counters what was added since the last time. */
export function tellCounters(
  sums: ReturnType<typeof createCallSums>,
  counters: Readonly<
    Record<"calls" | "requests" | "attempts" | "settlements" | "cost" | "tokens", Counter<string>>
  >,
): void {
  sums.calls.take(([method = "", code = ""], { calls }) => {
    if (calls > 0) counters.calls.inc({ method, code }, calls);
  });
  sums.requests.take(([apiKey = "", provider = "", status = ""], { requests }) => {
    if (requests > 0) counters.requests.inc({ api_key_id: apiKey, provider, status }, requests);
  });
  sums.attempts.take(([provider = "", model = "", outcome = "", errorType = ""], { attempts }) => {
    if (attempts > 0) counters.attempts.inc({ provider, model, outcome, error_type: errorType }, attempts);
  });
  sums.settlements.take(([apiKey = "", provider = "", model = "", state = "", source = ""], told) => {
    if (told.settlements === 0) return;
    counters.settlements.inc({ provider, billing_state: state, usage_source: source }, told.settlements);
    if (told.priced > 0) counters.cost.inc({ api_key_id: apiKey, provider, model }, told.costUsd);
    const count = (direction: "in" | "out", kind: string, tokens: number): void => {
      if (tokens > 0) counters.tokens.inc({ provider, model, direction, kind }, tokens);
    };
    count("in", "uncached", told.uncachedTokensIn);
    count("in", "cache_read", told.cacheReadTokensIn);
    count("in", "cache_write", told.cacheWriteTokensIn);
    count("out", "text", told.textTokensOut);
    count("out", "reasoning", told.reasoningTokensOut);
  });
}
