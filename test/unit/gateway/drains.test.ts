import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ProviderError } from "../../../src/core/provider-error.ts";
import { createDrains, MAX_DRAIN_MS, MAX_DRAINED_BYTES, MAX_DRAINS } from "../../../src/gateway/drains.ts";
import { createDrainedUpstream } from "../../../src/gateway/upstream.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const newDrains = () => createDrains({ onError: () => {} });
const callerGone = () => new ProviderError("CANCELLED", "the caller went away", { billing: "maybe_billed" });

/** A call that was sent, of a request that is over. */
function detach(drains: ReturnType<typeof createDrains>) {
  const request = new AbortController();
  const upstream = createDrainedUpstream(request.signal, drains);
  upstream.onSent?.();
  request.abort(callerGone());
  return upstream;
}

it("a call outlives its request once it was sent, and says why that ended", async () => {
  const drains = newDrains();
  const upstream = detach(drains);
  expect(upstream).toMatchObject({ detached: true, signal: { aborted: false } });
  expect(await upstream.whenDetached).toMatchObject({ reason: "CANCELLED" });
  expect(drains.active).toBe(1);
  upstream.end();
  expect(drains.active).toBe(0);
});

it("a call that was not sent ends with its request, for its reason", () => {
  const drains = newDrains();
  const request = new AbortController();
  const upstream = createDrainedUpstream(request.signal, drains);
  request.abort(callerGone());
  upstream.onSent?.();
  expect(upstream).toMatchObject({
    detached: false,
    signal: { aborted: true, reason: { reason: "CANCELLED" } },
  });
  expect(drains.active).toBe(0);
});

it("a call that was over before its request is not drained", () => {
  const drains = newDrains();
  const request = new AbortController();
  const upstream = createDrainedUpstream(request.signal, drains);
  upstream.onSent?.();
  upstream.end();
  request.abort(callerGone());
  expect(upstream).toMatchObject({ detached: false, signal: { aborted: false } });
});

it("so many are drained at once, and one more when one has ended", () => {
  const drains = newDrains();
  const [first] = Array.from({ length: MAX_DRAINS }, () => detach(drains));
  expect(detach(drains)).toMatchObject({ detached: false, signal: { aborted: true } });
  first?.end();
  expect(detach(drains)).toMatchObject({ detached: true, signal: { aborted: false } });
  expect(drains.active).toBe(MAX_DRAINS);
});

it("a drain that takes too long is closed", () => {
  const upstream = detach(newDrains());
  vi.advanceTimersByTime(MAX_DRAIN_MS - 1);
  expect(upstream.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(upstream.signal).toMatchObject({ aborted: true, reason: { reason: "CANCELLED" } });
});

it("a drain that brings too much is closed", () => {
  const upstream = detach(newDrains());
  upstream.received(MAX_DRAINED_BYTES);
  expect(upstream.signal.aborted).toBe(false);
  upstream.received(MAX_DRAINED_BYTES + 1);
  expect(upstream.signal.aborted).toBe(true);
});

it("closing waits for the grace, closes what is left, and resolves when all have ended", async () => {
  const drains = newDrains();
  const [quick, slow] = [detach(drains), detach(drains)];
  let isClosed = false;
  const closed = drains.close(1_000).then(() => {
    isClosed = true;
  });
  expect(detach(drains)).toMatchObject({ detached: false });
  quick.end();
  await vi.advanceTimersByTimeAsync(999);
  expect(slow.signal.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(slow.signal.aborted).toBe(true);
  expect(isClosed).toBe(false);
  slow.end();
  await closed;
});

it("closing without any takes no time", async () => {
  await newDrains().close(60_000);
});
