import { relative } from "node:path";
import { test } from "vitest";
import { BillingState, UsageSource } from "../../gen/es/llmgateway/v1/usage_pb.ts";
import type { LawLReport } from "./law-l.ts";
import { createRandom } from "./ledger-samples.ts";

/** `short` in `npm test`, `long` in `npm run test:faults`. */
export type Scale = "short" | "long";

/** What a scenario did, for the table at the end of `npm run test:faults`. */
export interface ScenarioFigures {
  readonly kills?: number;
  readonly calls: number;
  readonly attempts: number;
  /** Records by how certain they are. */
  readonly exact: number;
  readonly estimated: number;
  readonly unknown: number;
  readonly notBilled: number;
  /** Anything else worth telling. */
  readonly notes?: string;
}

export interface ScenarioResult extends ScenarioFigures {
  readonly seed: number;
}

declare module "vitest" {
  interface TaskMeta {
    scenario?: ScenarioResult;
  }
}

export interface ScenarioOptions<Size> {
  readonly short: Size;
  readonly long: Size;
  readonly timeoutMs: Readonly<Record<Scale, number>>;
}

export interface ScenarioRun<Size> {
  readonly scale: Scale;
  readonly size: Size;
  readonly seed: number;
  /** Numbers in `[0, 1)`, the same for the same seed and stream. */
  random(stream?: number): () => number;
}

const SHORT_SEED = 20_261_125;
export const SCALE: Scale = process.env.FAULT_SCALE === "long" ? "long" : "short";

/** `FAULT_SEED`; without it always the same in the short version, and another one each time in the long one. */
const SEED = Number(
  process.env.FAULT_SEED ?? (SCALE === "short" ? SHORT_SEED : Math.floor(Math.random() * 2 ** 31)),
);

/** A test that draws everything it does from one seed, and says on failure how to repeat it. */
export function scenario<Size>(
  name: string,
  options: ScenarioOptions<Size>,
  run: (run: ScenarioRun<Size>) => Promise<ScenarioFigures>,
): void {
  test(name, { timeout: options.timeoutMs[SCALE] }, async ({ task }) => {
    const seed = SEED;
    const random = (stream = 0) => createRandom(seed + stream);
    try {
      const figures = await run({ seed, random, scale: SCALE, size: options[SCALE] });
      task.meta.scenario = { ...figures, seed };
    } catch (error) {
      const file = relative(process.cwd(), task.file.filepath);
      const repeat = `FAULT_SCALE=${SCALE} FAULT_SEED=${seed} npx vitest run ${file} -t ${JSON.stringify(name)}`;
      if (error instanceof Error) error.message += `\n\nseed ${seed}; again with: ${repeat}`;
      throw error;
    }
  });
}

/** The figures of a judged ledger. */
export function figuresOf(report: LawLReport): Omit<ScenarioFigures, "calls"> {
  const records = [...report.matched.map(({ record }) => record), ...report.unseen];
  const count = (is: (record: (typeof records)[number]) => boolean) => records.filter(is).length;
  const inState = (state: BillingState) => count(({ billingState }) => billingState === state);
  return {
    attempts: records.length,
    exact: count(
      ({ billingState, usage }) =>
        billingState === BillingState.SETTLED && usage?.source === UsageSource.REPORTED,
    ),
    estimated: count(
      ({ usage, billingState }) =>
        billingState !== BillingState.UNKNOWN && usage?.source === UsageSource.ESTIMATED,
    ),
    unknown: inState(BillingState.UNKNOWN),
    notBilled: inState(BillingState.NOT_BILLED),
  };
}
