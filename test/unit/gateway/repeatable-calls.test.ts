import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import type { RateLimiter } from "../../../src/core/keys.ts";
import { createRateLimiter } from "../../../src/limits/rate-limiter.ts";
import { answers, fails, hangs, streams } from "../../support/fake-provider.ts";
import {
  CollectingCompletionSink,
  createHarness,
  failureOf,
  type Harness,
  inFakeTime,
  OPENAI,
  timed,
} from "../../support/gateway-harness.ts";
import { principal, UNLIMITED } from "../../support/principals.ts";
import { inputOf, userMessage } from "../../support/provider-calls.ts";
import { breaksWith, hangsForEver, isDurableAfter, refuses } from "../../support/recording-ledger.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const SAME = { repeatable: true } as const;
const OTHER = { ...SAME, input: inputOf([userMessage("Something else")]) } as const;
const start = (options: Parameters<typeof createHarness>[0] = {}): Harness =>
  createHarness({ chain: [OPENAI], ...options });

describe("a repeatable call", () => {
  it("claims its id with its first attempt, and what repetitions get goes with the request's row", async () => {
    const harness = start();
    harness.openai.plays(fails("PROVIDER_OVERLOADED"), answers());
    await inFakeTime(harness.complete(SAME));
    expect(harness.timeline.filter((event) => !event.startsWith("settle"))).toEqual([
      ...["recall", "open 1", "opened 1", "call openai", "open 2", "opened 2", "call openai"],
      ...["finish", "finished"],
    ]);
    expect(harness.ledger.claims.map(({ ordinal }) => ordinal)).toEqual([1]);
  });

  it("has with each intent the attempts before it, should nobody live to tell of them", async () => {
    const harness = start();
    harness.openai.plays(fails("PROVIDER_OVERLOADED"), answers());
    const { attempts } = await inFakeTime(harness.complete(SAME));
    const earlier = () => harness.ledger.opened.map(({ earlierAttempts }) => earlierAttempts);
    expect(earlier()).toEqual([[], attempts.slice(0, 1)]);
    await inFakeTime(harness.complete({ repeatable: false }));
    expect(earlier().slice(2)).toEqual([undefined]);
  });

  it("whose id was made by the gateway is not looked for", async () => {
    const harness = start();
    await inFakeTime(harness.complete({ repeatable: false }));
    expect(harness.timeline).not.toContain("recall");
    expect(harness.ledger.claims).toEqual([]);
  });

  it("is not made while nobody can say whether it was made before", async () => {
    const harness = start();
    harness.ledger.does({ recall: refuses });
    const error = inFakeTime(harness.complete(SAME));
    await expect(error).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
    harness.ledger.does({ recall: hangsForEver });
    const late = inFakeTime(harness.complete({ ...SAME, deadlineMs: 50 }));
    await expect(late).rejects.toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    expect(harness.openai.calls).toEqual([]);
  });

  it("that came too late for its own caller is answered to those that ask again", async () => {
    const harness = start();
    harness.ledger.does({ finish: isDurableAfter(500) });
    const first = failureOf(harness.complete({ ...SAME, deadlineMs: 100 }));
    expect(await first).toMatchObject({ reason: "DEADLINE_EXCEEDED", replayed: false });
    // Its end is still being written: the second waits for that.
    const second = await inFakeTime(harness.complete(SAME));
    expect(second).toMatchObject({ provider: "openai", replayed: true });
    expect(harness.openai.calls).toHaveLength(1);
    expect(harness.ledger.finished).toHaveLength(1);
    expect(harness.telemetry.replays).toEqual(["answered"]);
  });

  it("runs anew for those that waited when its own caller left before it cost anything", async () => {
    const harness = start();
    harness.ledger.does({ open: isDurableAfter(50) });
    const controller = new AbortController();
    const first = harness.complete({ ...SAME, signal: controller.signal });
    first.catch(() => {});
    const second = harness.complete(SAME);
    const third = harness.complete(SAME);
    await vi.advanceTimersByTimeAsync(10);
    controller.abort();
    expect(await failureOf(first)).toMatchObject({ reason: "CANCELLED" });
    const results = await inFakeTime(Promise.all([second, third]));
    expect(results.map(({ replayed }) => replayed)).toEqual([false, true]);
    expect(harness.openai.calls).toHaveLength(1);
  });

  it("that fails without cost takes those along that wait for it, and runs anew for those that come later", async () => {
    const harness = start();
    harness.openai.plays(fails("PROVIDER_AUTHENTICATION", { afterMs: 20 }), answers());
    harness.ledger.does({ finish: isDurableAfter(200) });
    const [first, second] = await inFakeTime(
      Promise.allSettled([harness.complete(SAME), harness.complete(SAME)]),
    );
    expect(first).toMatchObject({ reason: { reason: "PROVIDER_AUTHENTICATION", replayed: false } });
    expect(second).toMatchObject({ reason: { reason: "PROVIDER_AUTHENTICATION", replayed: true } });
    // The row of the first one is not durable yet; this one waits for that, since its claim is withdrawn with it.
    const { value, elapsedMs } = await timed(harness.complete(SAME));
    expect(value.replayed).toBe(false);
    expect(elapsedMs).toBeGreaterThan(100);
    expect(harness.telemetry.replays).toEqual(["failed"]);
  });

  it("that is refused for a limit fails alike for those that wait, with when to come again", async () => {
    const limited = new GatewayError("RATE_LIMITED", "used up", { retryAfterMs: 7_000 });
    let admissions = 0;
    const limiter: RateLimiter = {
      admit: (_, tokens) => {
        admissions += 1;
        return tokens > 0 ? Promise.reject(limited) : Promise.resolve({ release: () => {} });
      },
    };
    const harness = start({ limiter });
    const both = await inFakeTime(Promise.allSettled([harness.complete(SAME), harness.complete(SAME)]));
    for (const outcome of both) expect(outcome).toMatchObject({ reason: { retryAfterMs: 7_000 } });
    expect(admissions).toBe(2);
  });

  it("that failed and may have cost money fails again, and says that no retry helps", async () => {
    const harness = start();
    const failure = fails("PROVIDER_STREAM_CUT", { billing: "maybe_billed", retryAfterMs: 5 });
    harness.openai.plays(failure, failure, failure, answers());
    const first = await failureOf(harness.complete(SAME));
    expect(first).toMatchObject({ retryable: true, attempts: { length: 3 } });
    const second = await failureOf(harness.complete(SAME));
    expect(second).toMatchObject({
      ...{ reason: "PROVIDER_STREAM_CUT", replayed: true, retryable: false, retryAfterMs: undefined },
      metadata: { replayed: "true" },
    });
    expect(second.attempts).toEqual(first.attempts);
    expect(harness.openai.calls).toHaveLength(3);
  });

  it("whose caller left amid it is not said to be cancelled to one that is there", async () => {
    const harness = start();
    harness.openai.plays(hangs(), answers());
    const controller = new AbortController();
    const first = harness.complete({ ...SAME, signal: controller.signal });
    first.catch(() => {});
    const second = harness.complete(SAME);
    second.catch(() => {});
    await vi.advanceTimersByTimeAsync(10);
    controller.abort();
    expect(await failureOf(first)).toMatchObject({ reason: "CANCELLED" });
    const unknown = { reason: "REQUEST_OUTCOME_UNKNOWN", attempts: [{ billingState: "unknown" }] };
    expect(await failureOf(second)).toMatchObject(unknown);
    expect(await failureOf(harness.complete(SAME))).toMatchObject(unknown);
  });

  it("with another content is refused at once while the first one runs, and later", async () => {
    const harness = start();
    harness.openai.plays(answers({ afterMs: 1_000 }));
    const first = harness.complete(SAME);
    const { value, elapsedMs } = await timed(harness.complete(OTHER).catch((error: unknown) => error));
    expect(value).toMatchObject({ reason: "REQUEST_ID_REUSED" });
    expect(elapsedMs).toBeLessThan(10);
    await inFakeTime(first);
    await expect(inFakeTime(harness.complete(OTHER))).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
    expect(harness.telemetry.replays).toEqual(["refused", "refused"]);
  });

  it("counts as a request when repeated, but uses no tokens", async () => {
    const limits = { ...UNLIMITED, requestsPerMinute: 3, tokensPerMinute: 30 };
    const key = principal({ limits });
    const harness = start({ limiter: createRateLimiter() });
    await inFakeTime(harness.complete({ ...SAME, principal: key }));
    for (let time = 0; time < 2; time++) {
      const again = await inFakeTime(harness.complete({ ...SAME, principal: key }));
      expect(again.replayed).toBe(true);
    }
    await expect(inFakeTime(harness.complete({ ...SAME, principal: key }))).rejects.toMatchObject({
      ...{ reason: "RATE_LIMITED", quotaViolations: [{ quotaId: "requests_per_minute" }] },
    });
  });

  it("needs the same rights when repeated", async () => {
    const harness = start();
    await inFakeTime(harness.complete(SAME));
    const narrowed = principal({ allowedModels: ["deepseek/deepseek-flash"] });
    await expect(inFakeTime(harness.complete({ ...SAME, principal: narrowed }))).rejects.toMatchObject({
      reason: "MODEL_NOT_ALLOWED",
    });
  });

  it("whose row cannot be written fails for those that wait", async () => {
    const harness = start();
    harness.ledger.does({ finish: breaksWith(new Error("the disk")) });
    const both = await inFakeTime(Promise.allSettled([harness.complete(SAME), harness.complete(SAME)]));
    expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(harness.openai.calls).toHaveLength(1);
  });
});

describe("a repeatable stream", () => {
  const repeat = async (harness: Harness) => {
    const sink = new CollectingCompletionSink();
    const outcome = await inFakeTime(harness.stream(SAME, sink).catch((error: unknown) => ({ error })));
    return { outcome, events: sink.events };
  };

  it("is told again in as few pieces as tell the same", async () => {
    const harness = start();
    harness.openai.plays(
      streams([
        { afterMs: 1, texts: ["a", "b"] },
        { afterMs: 1, texts: ["c"] },
      ]),
    );
    const first = await repeat(harness);
    expect(first.events).toEqual(["started openai/gpt-5-mini", "ab", "c"]);
    const second = await repeat(harness);
    expect(second.events).toEqual(["started openai/gpt-5-mini", "abc"]);
    expect(second.outcome).toEqual({ ...first.outcome, replayed: true });
  });

  it("that broke is told as far as it came, and breaks again", async () => {
    const harness = start();
    const end = {
      kind: "failed",
      reason: "PROVIDER_STREAM_CUT",
      options: { billing: "maybe_billed" },
    } as const;
    harness.openai.plays(
      streams(
        [
          { afterMs: 1, texts: ["a"] },
          { afterMs: 1, texts: ["b"] },
        ],
        end,
      ),
    );
    const first = await repeat(harness);
    const second = await repeat(harness);
    expect(second.events).toEqual(["started openai/gpt-5-mini", "ab"]);
    expect(first.outcome).toMatchObject({ error: { reason: "PROVIDER_STREAM_CUT", replayed: false } });
    expect(second.outcome).toMatchObject({ error: { reason: "PROVIDER_STREAM_CUT", replayed: true } });
  });

  it("that said more than is remembered is not told again, nor made again", async () => {
    const harness = start({ maxReplayBytes: 100 });
    const long = Array.from({ length: 60 }, () => ({ afterMs: 0, texts: ["ab"] }));
    harness.openai.plays(streams(long));
    const first = await repeat(harness);
    expect(first.events).toHaveLength(61);
    const second = await repeat(harness);
    expect(second).toMatchObject({ events: [], outcome: { error: { reason: "REQUEST_ANSWER_NOT_KEPT" } } });
    expect(harness.openai.calls).toHaveLength(1);
  });
});
