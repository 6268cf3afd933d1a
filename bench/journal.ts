import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { newId } from "../src/core/ids.ts";
import { settleOrphan } from "../src/gateway/settle-attempt.ts";
import { openJournal } from "../src/ledger/journal.ts";
import { createJournalLedger, type JournalLedger } from "../src/ledger/journal-ledger.ts";
import { sampleOutcome, sampleRequest } from "../test/support/ledger-samples.ts";

const USAGE = `usage: npm run bench:journal -- [--seconds 5] [--directory DIR] [--program FILE]
  --seconds    of each row
  --directory  on the disk to measure; default: the temporary directory
  --program    another program for the journal's thread, as test/support/faulty-journal-program.ts is one`;

const WAITERS = [1, 64, 256] as const;
const OPEN_LOOP_PER_SECOND = 500;
/** Intent, outcome, request. */
const APPENDS_PER_REQUEST = 3;
const WARM_UP_SECONDS = 1;

interface Timings {
  readonly open: RecordableHistogram;
  readonly settle: RecordableHistogram;
  /** Both: what the journal adds to a request. */
  readonly both: RecordableHistogram;
}

/** What a request asks of the ledger: an intent before the call, then the outcome and the request's row at once. */
async function runRequest(ledger: JournalLedger, timings: Timings): Promise<void> {
  const attemptId = newId();
  const outcome = sampleOutcome({ attemptId, requestId: attemptId });
  const startedAtMs = performance.now();
  await ledger.open(outcome.intent);
  const openedAtMs = performance.now();
  await Promise.all([ledger.settle(outcome), ledger.finish(sampleRequest({ requestId: attemptId }))]);
  const endedAtMs = performance.now();
  record(timings.open, openedAtMs - startedAtMs);
  record(timings.settle, endedAtMs - openedAtMs);
  record(timings.both, endedAtMs - startedAtMs);
}

const record = (histogram: RecordableHistogram, durationMs: number) =>
  histogram.record(Math.max(1, Math.round(durationMs * 1_000)));

const newTimings = (): Timings => ({
  ...{ open: createHistogram(), settle: createHistogram(), both: createHistogram() },
});

async function runClosedLoop(ledger: JournalLedger, waiters: number, seconds: number) {
  const run = async (timings: Timings, forSeconds: number): Promise<number> => {
    const endsAtMs = performance.now() + forSeconds * 1_000;
    let requests = 0;
    const waiter = async () => {
      for (; performance.now() < endsAtMs; requests++) await runRequest(ledger, timings);
    };
    await Promise.all(Array.from({ length: waiters }, waiter));
    return requests;
  };
  await run(newTimings(), WARM_UP_SECONDS);
  const timings = newTimings();
  const startedAtMs = performance.now();
  const requests = await run(timings, seconds);
  return { timings, perSecond: (requests * 1_000) / (performance.now() - startedAtMs) };
}

/** At a constant rate, however long each takes. */
async function runOpenLoop(ledger: JournalLedger, seconds: number): Promise<Timings> {
  const timings = newTimings();
  const running: Promise<void>[] = [];
  const startedAtMs = performance.now();
  while (running.length < seconds * OPEN_LOOP_PER_SECOND) {
    const due = ((performance.now() - startedAtMs) / 1_000) * OPEN_LOOP_PER_SECOND;
    while (running.length < due) running.push(runRequest(ledger, timings));
    await sleep(1);
  }
  await Promise.all(running);
  return timings;
}

const quantiles = (histogram: RecordableHistogram): string =>
  [50, 99].map((percent) => (histogram.percentile(percent) / 1_000).toFixed(2)).join(" / ");

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "5" },
      directory: { type: "string", default: tmpdir() },
      program: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help) return console.log(USAGE);
  const seconds = Number(values.seconds);
  const directory = mkdtempSync(join(values.directory, "llm-gateway-journal-bench-"));
  const program = values.program === undefined ? {} : { program: pathToFileURL(resolve(values.program)) };
  // The database takes everything at once: what is measured is the journal, with its reading and trimming.
  const ledger = await createJournalLedger({
    journal: await openJournal({ directory, ...program }),
    database: { query: async () => [], sync: undefined },
    settleOrphan,
  });
  const load = () => loadavg()[0]?.toFixed(1);
  console.log(`node ${process.version}, load ${load()} before, ${seconds} s a row, in ${values.directory}\n`);
  console.log(
    "| waiters | requests/s | appends/s | `open` p50 / p99 ms | `settle` + `finish` p50 / p99 ms |",
  );
  console.log("|--:|--:|--:|--:|--:|");
  for (const waiters of WAITERS) {
    const { timings, perSecond } = await runClosedLoop(ledger, waiters, seconds);
    const [requests, appends] = [perSecond, perSecond * APPENDS_PER_REQUEST].map(Math.round);
    const row = [waiters, requests, appends, quantiles(timings.open), quantiles(timings.settle)];
    console.log(`| ${row.join(" | ")} |`);
  }
  const { both } = await runOpenLoop(ledger, seconds);
  console.log(`\nadded at ${OPEN_LOOP_PER_SECOND} requests/s (open loop), p50 / p99 ms: ${quantiles(both)}`);
  console.log(`load ${load()} after`);
  await ledger.close();
  rmSync(directory, { recursive: true });
}

await main();
