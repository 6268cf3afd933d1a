import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { Tally } from "../../../bench/tally.ts";
import type { Database } from "../../../src/db/database.ts";
import { openDatabase } from "../../../src/db/open-database.ts";
import { createGatewayClients } from "../../support/completion-client.ts";
import { allEntities } from "../../support/databases.ts";
import { ADMIN_KEY, startGatewayProcess } from "../../support/gateway-process.ts";
import { simulatedProviders, writeConfigFile } from "../../support/gateway-under-test.ts";
import { expectPagesToSumUp } from "../../support/ledger-sums.ts";
import { NO_USAGE, runMixedLoad } from "../../support/mixed-load.ts";
import { startPostgres } from "../../support/postgres.ts";
import { expectRollupsToAgree } from "../../support/rollups.ts";
import { type ScenarioFigures, scenario } from "../../support/scenario.ts";
import { startSimulatorProcess } from "../../support/simulator-process.ts";
import { expectLawLInSql } from "../../support/sql-law-l.ts";

const OPEN_CALLS = 48;

/** What the ledger says of its records, and how it was asked. */
async function countRecords(database: Database): Promise<Omit<ScenarioFigures, "calls">> {
  const [counts] = await database.query(`
    SELECT count(*)::int AS attempts,
      count(*) FILTER (WHERE billing_state = 'settled' AND usage_source = 'reported')::int AS exact,
      count(*) FILTER (WHERE billing_state = 'settled' AND usage_source = 'estimated')::int AS estimated,
      count(*) FILTER (WHERE billing_state = 'unknown')::int AS unknown,
      count(*) FILTER (WHERE billing_state = 'not_billed')::int AS "notBilled" FROM cost_record`);
  return counts as unknown as Omit<ScenarioFigures, "calls">;
}

/** Calls that an open breaker kept from every provider, which are no requests of a report. */
function unsentOf(tally: Tally): number {
  const refusals = [...tally.failures].filter(([failure]) =>
    /failed.too.often/.test(decodeURIComponent(failure)),
  );
  return refusals.reduce((sum, [, count]) => sum + count, 0);
}

async function callAndJudge(calls: number, random: () => number): Promise<ScenarioFigures> {
  const folder = mkdtempSync(join(tmpdir(), "llm-gateway-volume-"));
  const billFile = join(folder, "bill.jsonl");
  const config = writeConfigFile();
  const [postgres, simulator] = await Promise.all([startPostgres(), startSimulatorProcess(billFile)]);
  const gateway = await startGatewayProcess({
    dataDir: join(folder, "data"),
    env: {
      ...{ ...simulatedProviders(simulator), CONFIG_FILE: config.path, LOG_LEVEL: "warn" },
      ...{ DATABASE_URL: postgres.url, KEY_PEPPER: "a-pepper-of-thirty-two-characters-or-more" },
    },
  });
  const database = await openDatabase({ url: postgres.url, entities: allEntities });
  try {
    const startedAtMs = performance.now();
    const load = { calls, open: OPEN_CALLS, random };
    const tally = await runMixedLoad({ url: gateway.url, apiKey: ADMIN_KEY }, load);
    const perSecond = Math.round((calls * 1_000) / (performance.now() - startedAtMs));
    expect(tally.calls).toBe(calls);
    expect(tally.failed / calls, "failed, as they were told to or by an open breaker").toBeLessThan(0.25);
    await simulator.whenIdle();

    const { totals, pages } = await expectPagesToSumUp(createGatewayClients(gateway.url).costs(ADMIN_KEY));
    expect(totals?.requests).toBe(BigInt(calls - unsentOf(tally)));
    const lines = await expectLawLInSql(database, { billFile, noUsage: NO_USAGE });
    expect(totals?.attempts).toBe(BigInt(lines));
    await expectRollupsToAgree(postgres.url);
    expect(await gateway.stop()).toBe(0);
    const notes = `${perSecond} calls/s; ${pages} pages sum up to the totals`;
    return { ...(await countRecords(database)), calls, notes };
  } finally {
    gateway.signal("SIGKILL");
    await database.close();
    await simulator.close();
    await postgres.close();
    config.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

export function describeVolume(): void {
  scenario(
    "a hundred thousand mixed calls agree with the provider's bill one by one, and all pages with the totals",
    { short: 100_000, long: 1_000_000, timeoutMs: { short: 600_000, long: 3_600_000 } },
    ({ size, random }) => callAndJudge(size, random()),
  );
}
