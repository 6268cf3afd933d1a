import { expect } from "vitest";
import type { GatewayUnderTest } from "./gateway-under-test.ts";
import { MACHINE_NOISE_MS } from "./machine-noise.ts";
import { recordsOf } from "./openai-bench.ts";

/**
 * Leaves a call in its midst: a stream after its first event, a unary call once its provider has it. The provider's
 * connection must be closed within 250 ms, and the call must be on the ledger as cancelled.
 * @param ask makes the call; iterates over it when it is a stream
 */
export async function expectAbortFollowed(
  bench: GatewayUnderTest,
  { marker, stream }: { readonly marker: string; readonly stream: boolean },
  ask: (signal: AbortSignal) => Promise<object>,
): Promise<void> {
  const controller = new AbortController();
  let leftAt: number | undefined;
  const leave = () => {
    leftAt ??= Date.now();
    controller.abort();
  };
  const work = (async () => {
    const answer = await ask(controller.signal);
    if (Symbol.asyncIterator in answer) for await (const _ of answer as AsyncIterable<unknown>) leave();
  })().catch(() => undefined);
  await expect.poll(() => bench.requestsOf(marker).length, { interval: 5 }).toBe(1);
  if (!stream) leave();
  await work;
  await bench.simulator.whenIdle();
  expect(bench.requestsOf(marker)[0]?.aborted).toBe(true);
  expect(Date.now() - (leftAt ?? 0)).toBeLessThanOrEqual(250 + MACHINE_NOISE_MS);
  const cancelled = async () =>
    (await recordsOf(bench)).filter(({ outcome }) => outcome === "cancelled").length;
  await expect.poll(cancelled, { timeout: 10_000 }).toBeGreaterThan(0);
}
