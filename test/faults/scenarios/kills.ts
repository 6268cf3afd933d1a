import { expect } from "vitest";
import { startCrashBench } from "../../support/crash/crash-bench.ts";
import { type CrashLane, openCrashLane } from "../../support/crash/crash-lane.ts";
import { createKillPlan, describeKillPoint, type KillPoint } from "../../support/crash/kill-point.ts";
import type { Hit } from "../../support/crash/killer.ts";
import type { Evidence } from "../../support/evidence.ts";
import { expectLawL, isOrphan } from "../../support/law-l.ts";
import { startPostgres } from "../../support/postgres.ts";
import { expectRollupsToAgree } from "../../support/rollups.ts";
import { figuresOf, type ScenarioFigures, scenario } from "../../support/scenario.ts";

/** One kill in so many hits a start that has orphans to settle. */
const START_KILL_SHARE = 0.3;

interface Killed {
  readonly point: KillPoint;
  readonly hit: Hit;
}

/** Kills gateways on one directory, and judges the calls of each kill once the next gateway has recovered. */
async function killRepeatedly(
  lane: CrashLane,
  options: { readonly kills: number; readonly random: () => number; readonly seesDatabase: boolean },
): Promise<readonly Killed[]> {
  const { random, seesDatabase } = options;
  const killed: Killed[] = [];
  const startMs = await lane.start();
  const plan = createKillPlan({ random, seesDatabase, startMs });
  for (let number = 0; killed.length < options.kills; number += 1) {
    const point = plan.underLoad();
    killed.push({ point, hit: await lane.loadAndKill(number, point) });
    while (killed.length < options.kills && random() < START_KILL_SHARE) {
      const next = plan.duringStart();
      killed.push({ point: next, hit: await lane.startAndKill(next) });
    }
    await lane.start();
    try {
      await expectLawL(lane.evidence(number));
    } catch (error) {
      if (error instanceof Error)
        error.message = `${lane.name}, kill ${number} (${describeKillPoint(point)}): ${error.message}`;
      throw error;
    }
  }
  return killed;
}

/** All lanes' calls as one ledger, read through one of their gateways. */
function join(lanes: readonly CrashLane[]): Evidence {
  const all = lanes.map((lane) => lane.evidence());
  const [first] = all;
  if (!first) throw new Error("no lane");
  return {
    ...first,
    billed: async () => (await Promise.all(all.map((one) => one.billed()))).flat(),
    outcomes: all.flatMap(({ outcomes }) => outcomes),
    calls: new Map(all.flatMap(({ calls }) => [...calls])),
  };
}

interface KillsOptions {
  readonly kills: number;
  readonly lanes: number;
  readonly databaseUrl: string | undefined;
  random(stream: number): () => number;
}

async function killAndJudge(options: KillsOptions): Promise<ScenarioFigures> {
  const { kills, databaseUrl, random } = options;
  const bench = await startCrashBench();
  const lanes = await Promise.all(
    Array.from({ length: options.lanes }, (_, index) =>
      openCrashLane(bench, { name: `l${index}`, databaseUrl, random: random(2 * index) }),
    ),
  );
  try {
    // An orderly first life makes the schema, and leaves compiled code behind.
    await lanes[0]?.start();
    expect(await lanes[0]?.stop()).toBe(0);
    const killed = await Promise.all(
      lanes.map((lane, index) =>
        killRepeatedly(lane, {
          kills: Math.ceil(kills / options.lanes),
          random: random(2 * index + 1),
          seesDatabase: databaseUrl !== undefined,
        }),
      ),
    );
    const evidence = join(lanes);
    const report = await expectLawL(evidence, "thorough");
    for (const lane of lanes) expect(await lane.stop()).toBe(0);
    if (databaseUrl !== undefined) await expectRollupsToAgree(databaseUrl);
    return { ...expectVariety(killed.flat(), report), calls: evidence.calls.size };
  } finally {
    for (const lane of lanes) await lane.close();
    await bench.close();
  }
}

/** Proves that the kills hit what they were meant to hit: a run that never hurt would prove nothing. */
function expectVariety(killed: readonly Killed[], report: Awaited<ReturnType<typeof expectLawL>>) {
  const hits = killed.filter(({ hit }) => hit === "hit");
  expect(hits.length, "kills at their points").toBeGreaterThan(killed.length * 0.7);
  const orphans = [...report.matched.map(({ record }) => record), ...report.unseen].filter(isOrphan);
  expect(orphans.length).toBeGreaterThan(killed.length);
  const streamed = orphans.filter(({ usage }) => (usage?.tokensOut ?? 0n) > 0n);
  expect(streamed.length, "orphans whose checkpoint survived").toBeGreaterThan(0);
  const billed = report.matched.filter(({ line, record }) => isOrphan(record) && line.state === "completed");
  const figures = figuresOf(report);
  expect(figures.exact).toBeGreaterThan(killed.length);
  const inPhase = (wanted: string) => hits.filter(({ point }) => point.phase === wanted).length;
  const notes = `${hits.length} at their points (${inPhase("start")} starts, ${inPhase("stop")} stops), ${orphans.length} orphans (${billed.length} of completed calls)`;
  return { ...figures, kills: killed.length, notes };
}

const LOST_PROCESS = "a process that is killed loses no call and counts none twice";

export function describeKills(): void {
  scenario(
    `${LOST_PROCESS}, on PostgreSQL with replicas`,
    { short: 188, long: 1_880, timeoutMs: { short: 900_000, long: 3_600_000 } },
    async ({ size, random }) => {
      const postgres = await startPostgres();
      try {
        return await killAndJudge({ kills: size, lanes: 3, databaseUrl: postgres.url, random });
      } finally {
        await postgres.close();
      }
    },
  );
  scenario(
    `${LOST_PROCESS}, on the embedded database`,
    { short: 12, long: 120, timeoutMs: { short: 400_000, long: 1_800_000 } },
    ({ size, random }) => killAndJudge({ kills: size, lanes: 1, databaseUrl: undefined, random }),
  );
}
