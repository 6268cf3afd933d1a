import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { type FaultBench, startFaultBench } from "../../support/fault-bench.ts";
import { ADMIN_KEY } from "../../support/gateway-process.ts";
import { expectLawL } from "../../support/law-l.ts";
import { startPostgres, type TestPostgres } from "../../support/postgres.ts";
import { expectRollupsToAgree } from "../../support/rollups.ts";
import { figuresOf, type ScenarioFigures, scenario } from "../../support/scenario.ts";
import { scrape } from "../../support/scrape.ts";

const CALLS_PER_SECOND = 500;
const DRAINED_WITHIN_MS = 10_000;
/** More open calls than this tell of a machine that cannot call so often; then fewer are made. */
const MAX_OPEN = 250;

/** Starts calls at a constant rate, however long they take, until told to end; resolves to the rate it came to. */
async function callAtRate(ended: AbortSignal, call: (index: number) => Promise<unknown>): Promise<number> {
  const from = performance.now();
  const open = new Set<Promise<unknown>>();
  let due = 0;
  let made = 0;
  for (let lastMs = from; !ended.aborted; await delay(2)) {
    const nowMs = performance.now();
    due = Math.min(MAX_OPEN, due + ((nowMs - lastMs) / 1_000) * CALLS_PER_SECOND);
    lastMs = nowMs;
    for (; due >= 1 && open.size < MAX_OPEN; due -= 1) {
      const called = call(made++).finally(() => open.delete(called));
      open.add(called);
    }
  }
  const seconds = (performance.now() - from) / 1_000;
  await Promise.all(open);
  return made / seconds;
}

const backlogOf = async (bench: FaultBench) => {
  const metrics = await scrape(bench.url);
  return {
    rows: metrics.sum("llm_gateway_ledger_backlog_records"),
    oldestMs: metrics.sum("llm_gateway_ledger_backlog_oldest_seconds") * 1_000,
  };
};

/**
 * Kills the database amid the load, lets rows gather, brings it back; how long it then takes until nothing is left of
 * what was written before.
 */
async function killAndReturn(bench: FaultBench, postgres: TestPostgres, awayMs: number): Promise<number> {
  await postgres.kill();
  await delay(awayMs);
  expect((await backlogOf(bench)).rows, "rows that wait for the database").toBeGreaterThan(100);
  await postgres.start();
  const backAtMs = performance.now();
  const sinceMs = () => performance.now() - backAtMs;
  const isDrained = async () => (await backlogOf(bench)).oldestMs < sinceMs();
  await expect.poll(isDrained, { timeout: DRAINED_WITHIN_MS, interval: 20 }).toBe(true);
  return sinceMs();
}

async function killDatabase(kills: number, random: () => number): Promise<ScenarioFigures> {
  const postgres = await startPostgres();
  const env = { DATABASE_URL: postgres.url, KEY_PEPPER: "a-pepper-of-thirty-two-characters-or-more" };
  const bench = await startFaultBench({ env, groups: { openai: { profile: "openai", count: 2 } } });
  const [unary, stream] = [bench.candidate(), bench.candidate()];
  const ended = new AbortController();
  const load = callAtRate(ended.signal, (index) => {
    const kind = index % 10 === 0 ? "stream" : "unary";
    const scripts = { openai: { tokensOut: 1 + (index % 40) } };
    return bench.complete({ kind, model: kind === "unary" ? unary : stream, scripts, secret: ADMIN_KEY });
  });
  const drainedMs: number[] = [];
  let perSecond = 0;
  try {
    await delay(1_000);
    for (let kill = 0; kill < kills; kill += 1) {
      drainedMs.push(await killAndReturn(bench, postgres, 600 + random() * 1_400));
      await delay(random() * 500);
    }
  } finally {
    ended.abort();
    perSecond = Math.round(await load);
  }
  const refused = bench.outcomes.filter(({ reason }) => reason !== undefined);
  expect(refused.map(({ reason }) => reason)).toEqual([]);
  await expect.poll(async () => (await backlogOf(bench)).rows, { timeout: DRAINED_WITHIN_MS }).toBe(0);
  const report = await expectLawL(bench, "thorough");
  await bench.close();
  await expectRollupsToAgree(postgres.url);
  await postgres.close();
  const notes = `kills of PostgreSQL at ${perSecond} calls/s; drained within ${Math.ceil(Math.max(...drainedMs))} ms of its return`;
  return { ...figuresOf(report), kills, calls: bench.outcomes.length, notes };
}

export function describeDatabaseKills(): void {
  scenario(
    "PostgreSQL killed at 500 requests a second takes nothing acknowledged with it, and is caught up with in ten seconds",
    { short: 3, long: 30, timeoutMs: { short: 300_000, long: 900_000 } },
    ({ size, random }) => killDatabase(size, random()),
  );
}
