import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Claim, Conclusion } from "../../../src/core/replay.ts";
import {
  DEFAULT_REPLAY_LIMITS,
  type Journal,
  type JournalOptions,
  openJournal,
} from "../../../src/ledger/journal.ts";
import type { JournalOperation } from "../../../src/ledger/journal-store.ts";
import {
  createReplayJournal,
  type ReplayJournal,
  type ReplayJournalOptions,
} from "../../../src/ledger/replay-journal.ts";
import { createReplaySeal } from "../../../src/ledger/replay-seal.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const HOUR_MS = 3_600_000;
const CALLER = { signal: new AbortController().signal, remainingMs: () => 1_000 };

let directory: string;
let opened: { readonly journal: Journal; readonly replays: ReplayJournal }[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "llm-gateway-replays-"));
});
afterEach(async () => {
  for (const one of opened) await close(one);
  rmSync(directory, { recursive: true, force: true });
});

const clock = createManualClock();

async function start(
  options: Partial<ReplayJournalOptions> & {
    readonly journal?: never;
    readonly file?: Partial<JournalOptions>;
  } = {},
) {
  const { file, ...changes } = options;
  const journal = await openJournal({ directory, retryDelayMs: { first: 1, max: 5 }, ...file });
  const seal = createReplaySeal(Buffer.alloc(32, 1));
  const replays = createReplayJournal({ journal, seal, clock, ...changes });
  const one = { journal, replays };
  opened.push(one);
  return {
    ...one,
    claim: (claim: Claim) => journal.add([replays.claimOperation(claim)], "refuse"),
    end: (claim: Claim, conclusion: Conclusion | "forgotten" | "not_kept" = answer(claim.requestId)) =>
      journal.add([replays.endOperation({ claim, conclusion })], "keep"),
    /** What a repetition of it would find. */
    async found(claim: Claim): Promise<unknown> {
      const remembered = await replays.recall(claim, CALLER);
      const conclusion = remembered?.conclusion;
      return typeof conclusion === "object" ? conclusion.kind : conclusion;
    },
    close: () => close(one),
  };
}

async function close(one: (typeof opened)[number]): Promise<void> {
  opened = opened.filter((other) => other !== one);
  one.replays.stop();
  await one.journal.close();
}

const claimOf = (requestId: string, changes: Partial<Claim> = {}): Claim => ({
  ...{ apiKeyId: "k_1", requestId, fingerprint: "fingerprint" },
  ...changes,
});

const answer = (text: string): Conclusion => ({
  kind: "completed",
  result: {
    ...{ provider: "openai", model: "gpt-5-mini" },
    choices: [
      {
        index: 0,
        message: { role: "assistant", name: undefined, parts: [{ kind: "text", text }] },
        finishReason: "stop",
      },
    ],
    attempts: [
      {
        ...{ attemptId: "a", ordinal: 1, provider: "openai", model: "gpt-5-mini", outcome: "succeeded" },
        ...{ errorReason: undefined, latencyMs: 1.5, usageSource: "reported", priceId: "p" },
        usage: {
          ...{ tokensIn: 10, tokensOut: 5, uncachedTokensIn: 10, textTokensOut: 5 },
          ...{ cacheReadTokensIn: 0, cacheWriteTokensIn: undefined, reasoningTokensOut: undefined },
        },
        ...{ costPicoUsd: 12_345_678_901_234_567_890n, billingState: "settled" },
      },
    ],
  },
});

const delivered = {
  ...{ provider: "openai", model: "gpt-5-mini" },
  deltas: [
    { kind: "reasoning", choiceIndex: 0, text: "Hm 👋" },
    { kind: "tool_call", choiceIndex: 1, toolIndex: 2, id: "t", name: "look", argumentsDelta: "{}" },
  ],
} as const;

describe("what the journal remembers of repeatable calls", () => {
  test("is the whole of how they ended, also in the next process", async () => {
    const first = await start();
    const [completed] = [answer("Grüße")];
    if (completed?.kind !== "completed") throw new Error("completed");
    const { attempts } = completed.result;
    const finishReasons = [{ choiceIndex: 0, finishReason: "length" }] as const;
    const ends: readonly Conclusion[] = [
      completed,
      {
        kind: "embedded",
        result: { ...{ provider: "p", model: "m" }, vectors: [Float32Array.of(0.1, -1e-30)], attempts },
      },
      { kind: "streamed", delivered, result: { ...{ provider: "p", model: "m" }, finishReasons, attempts } },
      {
        ...{
          kind: "failed",
          reason: "PROVIDER_STREAM_CUT",
          message: "it ended",
          metadata: { provider: "p" },
        },
        ...{ attempts: [{ ...attempts[0], costPicoUsd: undefined }] as typeof attempts, delivered },
      },
      {
        ...{ kind: "failed", reason: "CANCELLED", message: "gone", metadata: {} },
        attempts,
        delivered: undefined,
      },
    ];
    for (const [index, end] of ends.entries()) {
      const claim = claimOf(`request-${index}`);
      await first.claim(claim);
      expect(await first.found(claim)).toBe("unknown");
      await first.end(claim, end);
    }
    await first.close();
    const second = await start();
    for (const [index, end] of ends.entries()) {
      const { fingerprint, conclusion } =
        (await second.replays.recall(claimOf(`request-${index}`), CALLER)) ?? {};
      expect(fingerprint).toBe("fingerprint");
      expect(conclusion).toEqual(end);
    }
  });

  test("belongs to the key, and to what was asked", async () => {
    const { claim, end, found, replays } = await start();
    await claim(claimOf("r"));
    await end(claimOf("r"));
    expect(await found(claimOf("r", { apiKeyId: "k_2" }))).toBeUndefined();
    expect(await found(claimOf("R"))).toBeUndefined();
    const other = await replays.recall(claimOf("r", { fingerprint: "other" }), CALLER);
    expect(other).toMatchObject({ fingerprint: "fingerprint", conclusion: { kind: "completed" } });
  });

  test("is nothing of what cost nothing", async () => {
    const { claim, end, found } = await start();
    await claim(claimOf("r"));
    await end(claimOf("r"), "forgotten");
    expect(await found(claimOf("r"))).toBeUndefined();
    // Also when it never got as far as an attempt.
    await end(claimOf("s"), "forgotten");
    await end(claimOf("t"));
    expect(await found(claimOf("t"))).toBeUndefined();
  });

  test("expires after 24 hours, and makes room for the same id", async () => {
    const { claim, end, found } = await start();
    await claim(claimOf("r"));
    clock.advance(HOUR_MS);
    await end(claimOf("r"));
    clock.advance(23 * HOUR_MS - 1);
    expect(await found(claimOf("r"))).toBe("completed");
    clock.advance(1);
    expect(await found(claimOf("r"))).toBeUndefined();
    await claim(claimOf("r", { fingerprint: "another call" }));
    expect(await found(claimOf("r", { fingerprint: "another call" }))).toBe("unknown");
  });

  test("is less than the answer when that is not wanted, too large, or older than it may be", async () => {
    const none = await start({ answerTtlMs: 0 });
    await none.claim(claimOf("none"));
    await none.end(claimOf("none"));
    expect(await none.found(claimOf("none"))).toBe("not_kept");
    await none.close();

    const hour = await start({ answerTtlMs: HOUR_MS, maxAnswerBytes: 2_000 });
    await hour.claim(claimOf("hour"));
    await hour.end(claimOf("hour"));
    await hour.claim(claimOf("large"));
    await hour.end(claimOf("large"), answer("x".repeat(2_000)));
    await hour.claim(claimOf("stream"));
    await hour.end(claimOf("stream"), "not_kept");
    expect(await hour.found(claimOf("hour"))).toBe("completed");
    expect(await hour.found(claimOf("large"))).toBe("not_kept");
    expect(await hour.found(claimOf("stream"))).toBe("not_kept");
    clock.advance(HOUR_MS);
    expect(await hour.found(claimOf("hour"))).toBe("not_kept");
    clock.advance(23 * HOUR_MS);
    expect(await hour.found(claimOf("hour"))).toBeUndefined();
  });

  test("is what is told of a call that was interrupted, and that it was when that has gone", async () => {
    const { claim, end, found, journal, replays } = await start({ answerTtlMs: HOUR_MS });
    const interrupt = async (one: Claim): Promise<boolean> => {
      const operation = await replays.interruptedOperation(one, answer(one.requestId));
      if (operation) await journal.add([operation], "keep");
      return operation !== undefined;
    };
    await claim(claimOf("lost"));
    expect(await interrupt(claimOf("lost"))).toBe(true);
    expect((await replays.recall(claimOf("lost"), CALLER))?.conclusion).toEqual(answer("lost"));
    clock.advance(HOUR_MS);
    expect(await found(claimOf("lost"))).toBe("unknown");
    // What ended, or was never claimed, was not interrupted.
    await claim(claimOf("ended"));
    await end(claimOf("ended"), "not_kept");
    for (const requestId of ["ended", "stranger"]) expect(await interrupt(claimOf(requestId))).toBe(false);
    expect(await found(claimOf("ended"))).toBe("not_kept");
    expect(await found(claimOf("stranger"))).toBeUndefined();
  });

  test("is only that a call was interrupted where no answers are to be kept", async () => {
    const { claim, found, replays } = await start({ answerTtlMs: 0 });
    await claim(claimOf("lost"));
    expect(await replays.interruptedOperation(claimOf("lost"), answer("lost"))).toBeUndefined();
    expect(await found(claimOf("lost"))).toBe("unknown");
  });

  test("is bounded in bytes: the oldest answers go, their calls stay known", async () => {
    const { claim, end, found } = await start({
      file: { replayLimits: { ...DEFAULT_REPLAY_LIMITS, maxBytes: 10_000 } },
    });
    const claims = Array.from({ length: 12 }, (_, index) => claimOf(`r${index}`));
    for (const one of claims) {
      await claim(one);
      await end(one, answer("x".repeat(1_500)));
    }
    const kept = await Promise.all(claims.map(found));
    expect(kept.slice(0, 7)).toEqual(Array(7).fill("not_kept"));
    expect(kept.slice(-4)).toEqual(Array(4).fill("completed"));
  });

  test("is bounded in calls: the oldest are forgotten", async () => {
    const { claim, found, journal } = await start({
      file: { replayLimits: { ...DEFAULT_REPLAY_LIMITS, maxClaims: 50 } },
    });
    const claims = Array.from({ length: 120 }, (_, index) => claimOf(`r${index}`));
    await Promise.all(claims.map(claim));
    const known = await Promise.all(claims.map(found));
    expect(known.slice(0, 70)).toEqual(Array(70).fill(undefined));
    expect(known.slice(70)).toEqual(Array(50).fill("unknown"));
    expect(journal.failing).toBe(false);
  });

  test("is swept in small steps of what has expired", async () => {
    const { claim, end, found, journal } = await start();
    const claims = Array.from({ length: 150 }, (_, index) => claimOf(`r${index}`));
    await Promise.all(claims.map(claim));
    await Promise.all(claims.map((one) => end(one)));
    const before = clock.now().getTime();
    const sweep = (nowMs: number): Promise<void> => journal.add([{ kind: "sweep", nowMs }], "keep");
    await sweep(before);
    expect(await found(claimOf("r0"))).toBe("completed");
    await sweep(before + 24 * HOUR_MS);
    // Looked up at the time of before, so that only what was swept is missing.
    const left = (await Promise.all(claims.map(found))).filter((kind) => kind === "completed");
    expect(left).toHaveLength(150 - 64);
    await sweep(before + 24 * HOUR_MS);
    await sweep(before + 24 * HOUR_MS);
    expect(new Set(await Promise.all(claims.map(found)))).toEqual(new Set([undefined]));
  });

  test("is not believed when it was sealed with another secret, or for another call", () => {
    const seal = createReplaySeal(Buffer.alloc(32, 1));
    const plain = Buffer.from("what it said");
    const sealed = seal.seal(plain, "mine");
    expect(Buffer.from(seal.open(sealed, "mine") ?? [])).toEqual(plain);
    expect(Buffer.from(sealed).includes(plain)).toBe(false);
    expect(seal.seal(plain, "mine")).not.toEqual(sealed);
    expect(seal.open(sealed, "another's")).toBeUndefined();
    expect(createReplaySeal(Buffer.alloc(32, 2)).open(sealed, "mine")).toBeUndefined();
    expect(seal.open(sealed.subarray(0, 20), "mine")).toBeUndefined();
    for (const at of [0, 20, sealed.length - 1]) {
      const changed = Uint8Array.from(sealed, (byte, index) => (index === at ? byte ^ 1 : byte));
      expect(seal.open(changed, "mine")).toBeUndefined();
    }
  });
});

describe("on a full disk", () => {
  const row = (bytes: number): JournalOperation => ({
    ...{
      kind: "row",
      table: "cost_record",
      json: "x".repeat(bytes),
      priceId: undefined,
      attemptId: undefined,
    },
  });

  test("answers are given up for costs, and their calls are refused, not made again", async () => {
    const { claim, end, found, journal } = await start({ file: { maxFileBytes: 3_000_000 } });
    const claims = Array.from({ length: 20 }, (_, index) => claimOf(`r${index}`));
    await Promise.all(claims.map(claim));
    for (const one of claims) await end(one, answer("x".repeat(100_000)));
    expect(await found(claimOf("r0"))).toBe("completed");
    // Together with the answers this is more than the file may hold.
    for (let index = 0; index < 15; index++) await journal.add([row(100_000)], "keep");
    expect(journal.failing).toBe(false);
    expect(await journal.read(0, 100)).toHaveLength(15);
    expect(new Set(await Promise.all(claims.map(found)))).toEqual(new Set(["not_kept"]));
  });

  test("answers do not wait in memory, and a claim that is refused is withdrawn", async () => {
    const { claim, end, found, journal } = await start({ file: { maxFileBytes: 1_500_000 } });
    await claim(claimOf("r"));
    for (let index = 0; index < 8; index++) await journal.add([row(100_000)], "keep");
    const rows = Array.from({ length: 8 }, () => journal.add([row(100_000)], "keep"));
    const ended = end(claimOf("r"), answer("x".repeat(100_000)));
    const refused = claim(claimOf("refused"));
    await expect(refused).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
    await journal.add([{ kind: "trim", upTo: 8 }], "keep");
    await Promise.all([...rows, ended]);
    expect(await found(claimOf("r"))).toBe("not_kept");
    expect(await found(claimOf("refused"))).toBeUndefined();
  });
});
