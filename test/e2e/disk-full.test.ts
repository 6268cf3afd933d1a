import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { expectBillOnLedger } from "../support/bill-on-ledger.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { type OpenLoopResult, runOpenLoop } from "../support/open-loop.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { scrape } from "../support/scrape.ts";
import { mountSmallDisk } from "../support/small-disk.ts";

const DISK_BYTES = 4 * 1_024 ** 2;
const BALLAST_BYTES = 1_024 ** 2;
const PER_SECOND = 300;
/** The journal tries again every second. */
const FULL_FOR_GOOD_MS = 2_500;
const RECOVERY_LIMIT_MS = 10_000;

const disk = mountSmallDisk(DISK_BYTES);
const dataDir = disk?.path ?? mkdtempSync(join(tmpdir(), "llm-gateway-full-"));
const ballast = join(dataDir, "ballast");

let postgres: TestPostgres;
let simulator: Simulator;
let gateway: GatewayUnderTest;
let secret = "";
const acknowledged: string[] = [];

beforeAll(async () => {
  [postgres, simulator] = await Promise.all([startPostgres(), startSimulator()]);
  if (disk) writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES, 1));
  const env = {
    DATABASE_URL: await postgres.createDatabase(),
    KEY_PEPPER: "a-pepper-of-thirty-two-characters-or-more",
    ...(disk ? {} : { JOURNAL_MAX_MIB: "1" }),
  };
  gateway = await startGatewayUnderTest({ simulator, env, dataDir });
  ({ secret } = await gateway.createKey());
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  await simulator.close();
  await postgres.close();
  if (disk) disk.unmount();
  else rmSync(dataDir, { recursive: true });
});

const readiness = async () => {
  const response = await fetch(`${gateway.url}/health/ready`);
  return (await response.json()) as { readonly status: string; readonly checks: { readonly ledger: string } };
};
const backlog = async () => (await scrape(gateway.url)).sum("llm_gateway_ledger_backlog_records");

/** Calls until the work is done. Whoever was served called the provider once, whoever was refused did not. */
async function callDuring(work: () => Promise<unknown>): Promise<OpenLoopResult> {
  let isOver = false;
  const before = simulator.bill.lines.length;
  const traffic = runOpenLoop({ url: gateway.url, secret, perSecond: PER_SECOND, isOver: () => isOver });
  try {
    await work();
  } finally {
    isOver = true;
  }
  const result = await traffic;
  await simulator.whenIdle();
  expect(simulator.bill.lines.length - before, "provider calls").toBe(result.answered.length);
  acknowledged.push(...result.answered);
  return result;
}

const ledgerCheck = async () => (await readiness()).checks.ledger;
const untilLedgerWorks = () => expect.poll(ledgerCheck, { timeout: 30_000, interval: 20 }).toBe("ok");

/** A log that fills the disk is emptied into the journal's file, which may make room once more. */
async function untilFullForGood(): Promise<void> {
  let workedAtMs = performance.now();
  const failingForMs = async () => {
    if ((await ledgerCheck()) === "ok") workedAtMs = performance.now();
    return performance.now() - workedAtMs;
  };
  await expect.poll(failingForMs, { timeout: 30_000, interval: 20 }).toBeGreaterThan(FULL_FOR_GOOD_MS);
}

describe(disk ? "on a disk of 4 MB" : "with a journal of 1 MiB (no disk can be mounted here)", () => {
  test("a full journal refuses calls before they reach the provider, and keeps the outcome of each that did", async () => {
    // The key is known before the database goes.
    await callDuring(() => expect.poll(() => simulator.bill.lines.length).toBeGreaterThan(20));
    await postgres.stop();
    const { failures, answered, sent } = await callDuring(() => untilFullForGood());
    expect(answered.length).toBeGreaterThan(100);
    expect(answered.length + (failures["LEDGER_UNAVAILABLE"] ?? 0)).toBe(sent);
    expect((await readiness()).status).toBe("unavailable");
    const refused = runOpenLoop({ url: gateway.url, secret, perSecond: 50, isOver: afterCalls(50) });
    expect((await refused).answered).toEqual([]);
  }, 60_000);

  test.skipIf(!disk)(
    "when somebody makes room it serves on by itself, still without the database",
    async () => {
      rmSync(ballast);
      await untilLedgerWorks();
      expect((await readiness()).status).toBe("degraded");
      const { failures, answered } = await callDuring(() => untilFullForGood());
      expect(answered.length).toBeGreaterThan(100);
      expect(Object.keys(failures)).toEqual(["LEDGER_UNAVAILABLE"]);
    },
    60_000,
  );

  test("when the database takes the rows it serves on by itself, and the ledger is the bill exactly", async () => {
    await postgres.start();
    const backAtMs = performance.now();
    await untilLedgerWorks();
    await expect.poll(backlog, { timeout: RECOVERY_LIMIT_MS }).toBe(0);
    expect(performance.now() - backAtMs).toBeLessThan(RECOVERY_LIMIT_MS);
    const calls = simulator.bill.lines.length;
    const { failures } = await callDuring(() =>
      expect.poll(() => simulator.bill.lines.length).toBeGreaterThan(calls + 100),
    );
    expect(failures).toEqual({});
    await expectBillOnLedger(gateway.url, simulator, acknowledged);
  }, 60_000);
});

/** Over after it was asked so often. */
function afterCalls(calls: number): () => boolean {
  let asked = 0;
  return () => asked++ >= calls;
}
