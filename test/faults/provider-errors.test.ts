import { describe, expect, it } from "vitest";
import { CALL_KINDS } from "../support/completion-client.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

/** Beside the table of `test/failures/`, with the backoff of production. */
const bench = useFaultBench({
  groups: { openai: { profile: "openai" }, deepseek: { profile: "deepseek" } },
});

/** The calls of a request that arrived at the simulator. */
function arrivalsOf(requestId: string): number {
  return bench()
    .simulator.requests.recent()
    .filter(({ body }) => JSON.stringify(body).includes(`request=${requestId}`)).length;
}

describe.each(CALL_KINDS)("a %s call whose provider answers with an error status", (kind) => {
  it("is over in time when the deadline passes while the error is awaited", async () => {
    const scripts = { openai: { status: 503, latencyMs: 5_000 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts, timeoutMs: 300 });
    expect(outcome.reason).toBe("DEADLINE_EXCEEDED");
    expect(outcome.elapsedMs).toBeGreaterThanOrEqual(295);
    expect(outcome.elapsedMs).toBeLessThanOrEqual(300 + 50 + MACHINE_NOISE_MS);
  });

  it("is over in time when the deadline passes while it waits to ask again", async () => {
    const scripts = { openai: { status: 503, retryAfterMs: 400 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts, timeoutMs: 600 });
    // After the first wait too little is left for a second one.
    expect(outcome.reason).toBe("PROVIDER_OVERLOADED");
    expect(outcome.elapsedMs).toBeLessThanOrEqual(600 + 50 + MACHINE_NOISE_MS);
    expect(arrivalsOf(outcome.requestId)).toBe(2);
  });

  it("is asked again within the backoff of production", async () => {
    const scripts = { openai: { status: 503 } };
    const outcome = await bench().complete({ kind, model: bench().candidate(), scripts });
    expect(outcome.reason).toBe("PROVIDER_OVERLOADED");
    expect(arrivalsOf(outcome.requestId)).toBe(3);
    // At most 500 ms before the first retry and 1 s before the second.
    expect(outcome.elapsedMs).toBeLessThanOrEqual(1_500 + 250 + MACHINE_NOISE_MS);
  });
});
