import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { newId } from "../../src/core/ids.ts";
import type { Claim, Conclusion } from "../../src/core/replay.ts";
import type { Database } from "../../src/db/database.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { DEFAULT_REPLAY_LIMITS, openJournal } from "../../src/ledger/journal.ts";
import { createReplayJournal, DEFAULT_REPLAY_TTL_MS } from "../../src/ledger/replay-journal.ts";
import { createReplaySeal } from "../../src/ledger/replay-seal.ts";
import type { ReplayLimits } from "../../src/ledger/replay-table.ts";
import { createSharedReplayStore } from "../../src/ledger/shared-replay-store.ts";
import { tellOfPredecessor, withSharedReplays } from "../../src/ledger/shared-replays.ts";
import { allEntities } from "../support/databases.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";

let postgres: TestPostgres;
let database: Database;
let directory: string;
let closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.close());
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "llm-gateway-shared-"));
  database = await openDatabase({ url: await postgres.createDatabase(), entities: allEntities });
});
afterEach(async () => {
  for (const close of closing) await close();
  closing = [];
  await database.close();
  rmSync(directory, { recursive: true });
});

/** What a process of its own knows; journals are apart, the database and the secret are shared. */
async function startReplica(limits: ReplayLimits = DEFAULT_REPLAY_LIMITS, folder: string = newId()) {
  const owner = newId();
  const journal = await openJournal({ directory: join(directory, folder) });
  const local = createReplayJournal({
    ...{ journal, clock: systemClock, seal: createReplaySeal(Buffer.alloc(32, 1)) },
  });
  const times = { claimTtlMs: DEFAULT_REPLAY_TTL_MS, answerTtlMs: DEFAULT_REPLAY_TTL_MS };
  const store = createSharedReplayStore({ database, owner, limits, ...times });
  const outages: unknown[] = [];
  const replays = withSharedReplays(local, {
    ...{ store, owner, onUnavailable: (error) => outages.push(error), pauseMs: 200 },
  });
  const close = async () => {
    closing = closing.filter((other) => other !== close);
    replays.stop();
    await journal.close();
  };
  closing.push(close);
  return {
    ...{ store, journal, close },
    /** The next process with its journal. */
    async restart() {
      await close();
      return await startReplica(limits, folder);
    },
    outages,
    replays,
    recall: (claim: Claim, signal = AbortSignal.timeout(10_000)) =>
      replays.recall(claim, { signal, remainingMs: () => 10_000 }),
    async end(claim: Claim, conclusion: Conclusion | "forgotten" | "not_kept"): Promise<void> {
      const operation = replays.endOperation({ claim, conclusion });
      await journal.add([replays.claimOperation(claim), operation], "keep");
      replays.durable(claim, operation);
    },
  };
}

const claimOf = (requestId: string, fingerprint = "fingerprint"): Claim => ({
  ...{ apiKeyId: "k_1", requestId, fingerprint },
});

const answer = (text = "Hello"): Conclusion => ({
  kind: "completed",
  result: {
    ...{ provider: "openai", model: "m", attempts: [] },
    choices: [
      {
        ...{ index: 0, finishReason: "stop" },
        message: { role: "assistant", name: undefined, parts: [{ kind: "text", text }] },
      },
    ],
  },
});

const rows = async (columns = "*") => await database.query(`SELECT ${columns} FROM repeated_request`);

test("of all processes that are asked at once, one makes the call, and the others get its answer", async () => {
  const replicas = await Promise.all([startReplica(), startReplica(), startReplica()]);
  for (const id of ["a", "b", "c"]) {
    let made = 0;
    const answers = await Promise.all(
      replicas.map(async ({ recall, end }) => {
        const remembered = await recall(claimOf(id));
        if (remembered) return remembered.conclusion;
        made += 1;
        await end(claimOf(id), answer());
        return answer();
      }),
    );
    expect(made).toBe(1);
    expect(answers).toEqual([answer(), answer(), answer()]);
  }
});

test("an answer lies in the database unreadable", async () => {
  const { recall, end } = await startReplica();
  await recall(claimOf("r"));
  await end(claimOf("r"), answer("TheAnswerThatNobodyMayRead"));
  await expect.poll(() => rows("concluded")).toEqual([{ concluded: true }]);
  const [row] = await rows("request_id, encode(sealed, 'escape') AS sealed, repeated_request::text AS whole");
  expect(row).toMatchObject({ request_id: "r", sealed: expect.stringMatching(/./) });
  expect(JSON.stringify(row)).not.toContain("TheAnswer");
});

test("another content is seen while the call runs elsewhere, and afterwards", async () => {
  const [first, second] = [await startReplica(), await startReplica()];
  await first.recall(claimOf("r"));
  expect(await second.recall(claimOf("r", "other"))).toMatchObject({ fingerprint: "fingerprint" });
  await first.end(claimOf("r"), answer());
  await expect.poll(() => rows("concluded")).toEqual([{ concluded: true }]);
  expect(await second.recall(claimOf("r", "other"))).toMatchObject({ fingerprint: "fingerprint" });
});

test("what cost nothing, or was not begun, may be made by the next process", async () => {
  const [first, second] = [await startReplica(), await startReplica()];
  await first.recall(claimOf("r"));
  await first.end(claimOf("r"), "forgotten");
  expect(await second.recall(claimOf("r"))).toBeUndefined();
  second.replays.withdraw(claimOf("r"));
  await expect.poll(() => rows()).toEqual([]);
  expect(await first.recall(claimOf("r"))).toBeUndefined();
});

test("a call whose process does not tell its end in time is unknown, as one without an answer is not kept", async () => {
  const [first, second] = [await startReplica(), await startReplica()];
  await first.recall(claimOf("lost"));
  await first.recall(claimOf("large"));
  await first.end(claimOf("large"), "not_kept");
  expect(await second.recall(claimOf("large"))).toMatchObject({ conclusion: "not_kept" });
  const waiting = second.recall(claimOf("lost"));
  await database.query("UPDATE repeated_request SET run_until = now() - interval '1 second'");
  expect(await waiting).toMatchObject({ conclusion: "unknown" });
});

test("what a process did not live to tell, the next one with its journal tells", async () => {
  const [first, second] = [await startReplica(), await startReplica()];
  const ids = ["interrupted", "ended", "unkept", "not sent"] as const;
  for (const id of ids) await first.recall(claimOf(id));
  await second.recall(claimOf("another's"));
  const { journal, replays } = first;
  const ends = { ended: answer(), unkept: "not_kept" } as const;
  await journal.add([replays.claimOperation(claimOf("interrupted"))], "keep");
  for (const id of ["ended", "unkept"] as const) {
    const end = replays.endOperation({ claim: claimOf(id), conclusion: ends[id] });
    await journal.add([replays.claimOperation(claimOf(id)), end], "keep");
  }
  const caller = new AbortController();
  const [interruptedTold, endedTold, unkeptTold, notSentTold] = ids.map(async (id) => {
    const remembered = await second.recall(claimOf(id), caller.signal);
    return remembered?.conclusion;
  });

  const restarted = await first.restart();
  const interrupted = await restarted.replays.interruptedOperation(
    claimOf("interrupted"),
    answer("Attempts"),
  );
  if (!interrupted) throw new Error("it was claimed");
  await restarted.journal.add([interrupted], "keep");
  await tellOfPredecessor(restarted.replays, first.store);

  const told = await Promise.all([interruptedTold, endedTold, unkeptTold]);
  expect(told).toEqual([answer("Attempts"), answer(), "not_kept"]);
  caller.abort();
  expect(await notSentTold).toBeUndefined();
  // Nobody is told of what the journal does not know, nor of another's calls.
  const running = await database.query(
    "SELECT request_id, concluded, run_until > now() AS running FROM repeated_request ORDER BY sequence",
  );
  expect(running).toEqual([
    { request_id: "interrupted", concluded: false, running: false },
    { request_id: "ended", concluded: true, running: false },
    { request_id: "unkept", concluded: true, running: false },
    { request_id: "not sent", concluded: false, running: true },
    { request_id: "another's", concluded: false, running: true },
  ]);
  // When its attempts are kept no more, it is as unknown as before.
  await database.query("UPDATE repeated_request SET sealed_until = now() WHERE sealed IS NOT NULL");
  expect(await second.recall(claimOf("interrupted"))).toMatchObject({ conclusion: "unknown" });
});

test("a successor tells nothing of a call that another process made meanwhile", async () => {
  const [first, second] = [await startReplica(), await startReplica()];
  // Both made it while the database was away; only the second got its claim there.
  const ending = { claim: claimOf("r"), conclusion: answer("First's") } as const;
  await first.journal.add(
    [first.replays.claimOperation(claimOf("r")), first.replays.endOperation(ending)],
    "keep",
  );
  await second.recall(claimOf("r"));
  const restarted = await first.restart();
  await tellOfPredecessor(restarted.replays, first.store);
  expect(await rows("concluded, sealed")).toEqual([{ concluded: false, sealed: null }]);
});

test("who waits for a call elsewhere gives up with its caller", async () => {
  const [first, second] = [await startReplica(), await startReplica()];
  await first.recall(claimOf("r"));
  const startedAtMs = performance.now();
  await second.recall(claimOf("r"), AbortSignal.timeout(100));
  expect(performance.now() - startedAtMs).toBeLessThan(1_000);
  expect(await rows("owner")).toHaveLength(1);
});

test("while the database is away each process goes by its own journal, and says so once", async () => {
  const replica = await startReplica();
  await replica.recall(claimOf("before"));
  await replica.end(claimOf("before"), answer());
  await postgres.stop();
  try {
    const startedAtMs = performance.now();
    expect(await replica.recall(claimOf("meanwhile"))).toBeUndefined();
    expect((await replica.recall(claimOf("before")))?.conclusion).toEqual(answer());
    expect(await replica.recall(claimOf("next"))).toBeUndefined();
    expect(performance.now() - startedAtMs).toBeLessThan(2_000);
    expect(replica.outages).toHaveLength(1);
  } finally {
    await postgres.start();
  }
  await expect
    .poll(
      async () => {
        const id = newId();
        await replica.recall(claimOf(id));
        return (await rows("request_id")).some((row) => row.request_id === id);
      },
      { timeout: 10_000 },
    )
    .toBe(true);
}, 40_000);

test("what has expired goes, and so does the oldest of what is too much", async () => {
  const { recall, end, store } = await startReplica({ maxBytes: 2_000, maxClaims: 10 });
  for (let index = 0; index < 30; index++) {
    await recall(claimOf(`r${index}`));
    await end(claimOf(`r${index}`), answer("x".repeat(400)));
  }
  await expect.poll(async () => (await rows("concluded")).every(({ concluded }) => concluded)).toBe(true);
  await store.sweep();
  expect(await rows()).toHaveLength(10);
  const kept = await database.query(
    "SELECT request_id FROM repeated_request WHERE sealed IS NOT NULL ORDER BY sequence DESC",
  );
  expect(kept.length).toBeGreaterThan(1);
  expect(kept.length).toBeLessThan(5);
  expect(kept[0]?.request_id).toBe("r29");
  await database.query("UPDATE repeated_request SET sealed_until = now() WHERE request_id = 'r29'");
  await database.query("UPDATE repeated_request SET expires_at = now() WHERE request_id <> 'r29'");
  await store.sweep();
  expect(await rows("request_id, sealed")).toEqual([{ request_id: "r29", sealed: null }]);
});
