import { expect, test } from "vitest";
import type { Claim, Remembered } from "../../../src/core/replay.ts";
import type { ReplayJournal } from "../../../src/ledger/replay-journal.ts";
import type { SharedReplay, SharedReplayStore } from "../../../src/ledger/shared-replay-store.ts";
import { withSharedReplays } from "../../../src/ledger/shared-replays.ts";

const CLAIM: Claim = { apiKeyId: "k_1", requestId: "r", fingerprint: "f" };
const OTHERS: SharedReplay = {
  ...{ fingerprint: "f", owner: "another", concluded: false, overdue: false, sealed: undefined },
};
const away = () => Promise.reject(new Error("connection refused"));

/** The database does one of `finds` after the other, and the last one from then on. */
function start(options: {
  readonly claims?: () => Promise<boolean>;
  readonly finds?: readonly (() => Promise<SharedReplay | undefined>)[];
  readonly own?: Remembered;
}) {
  const steps = [...(options.finds ?? [])];
  const done: string[] = [];
  const record = (name: string) => () => {
    done.push(name);
    return Promise.resolve();
  };
  const store: SharedReplayStore = {
    claim: () => {
      done.push("claim");
      return options.claims?.() ?? Promise.resolve(false);
    },
    find: () => {
      done.push("find");
      return (steps.length > 1 ? steps.shift() : steps[0])?.() ?? Promise.resolve(undefined);
    },
    conclude: record("conclude"),
    release: record("release"),
    running: () => Promise.resolve([]),
    sweep: record("sweep"),
  };
  const local = { recall: () => Promise.resolve(options.own), stop: () => {} };
  const outages: unknown[] = [];
  const replays = withSharedReplays(local as unknown as ReplayJournal, {
    ...{ store, owner: "me", onUnavailable: (error) => outages.push(error), maxWaitMs: 50, pauseMs: 1_000 },
  });
  return {
    done,
    outages,
    recall: (signal = AbortSignal.timeout(5_000)) =>
      replays.recall(CLAIM, { signal, remainingMs: () => 1_000 }).finally(() => replays.stop()),
  };
}

test("what the process's own journal knows is not asked of the database", async () => {
  const { recall, done } = start({ own: { fingerprint: "f", conclusion: "unknown" } });
  expect(await recall()).toMatchObject({ conclusion: "unknown" });
  expect(done).toEqual([]);
});

test("while the database fails or hangs the call is made without it", async () => {
  for (const claims of [away, () => new Promise<boolean>(() => {})]) {
    const { recall, outages } = start({ claims });
    expect(await recall()).toBeUndefined();
    expect(outages).toHaveLength(1);
  }
});

test("a call that was seen to run elsewhere is not made here when the database goes away meanwhile", async () => {
  const { recall, done } = start({
    finds: [() => Promise.resolve(OTHERS), away, away, () => Promise.resolve({ ...OTHERS, concluded: true })],
  });
  expect(await recall()).toMatchObject({ conclusion: "not_kept" });
  expect(done).toEqual(["claim", "find", "find", "find", "find"]);
});

test("a call that was given up elsewhere is claimed, once the row has gone", async () => {
  let claims = 0;
  const { recall, done } = start({
    claims: () => Promise.resolve(++claims === 2),
    finds: [() => Promise.resolve(OTHERS), () => Promise.resolve(undefined)],
  });
  expect(await recall()).toBeUndefined();
  expect(done).toEqual(["claim", "find", "find", "claim"]);
});

test("a claim of its own that was not heard of in time is taken up", async () => {
  const { recall } = start({ finds: [() => Promise.resolve({ ...OTHERS, owner: "me" })] });
  expect(await recall()).toBeUndefined();
});

test("a claim that comes when its caller has left is withdrawn", async () => {
  const caller = new AbortController();
  const { recall, done } = start({
    claims: () => {
      caller.abort();
      return Promise.resolve(true);
    },
  });
  await recall(caller.signal);
  expect(done).toEqual(["claim", "release"]);
});
