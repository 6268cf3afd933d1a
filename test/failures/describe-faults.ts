import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, type ExpectStatic, it } from "vitest";
import { CALL_KINDS, type CallKind } from "../support/completion-client.ts";
import type { Evidence, JudgedCall } from "../support/evidence.ts";
import type { Face, FaceOutcome } from "../support/faces/face.ts";
import { createFaces } from "../support/faces/faces.ts";
import { type FaultBench, type ProviderGroup, startFaultBench } from "../support/fault-bench.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { expectLawL } from "../support/law-l.ts";
import { MACHINE_NOISE_MS } from "../support/machine-noise.ts";
import { promptOf } from "../support/prompt.ts";
import { scrape } from "../support/scrape.ts";
import { FAILURE_WORDS, type Reason } from "./cases/failure-words.ts";
import {
  type Expected,
  type FaultCase,
  type Group,
  LIMITS,
  type NextGroup,
  type Takes,
  WHOLE_TEXT,
} from "./cases/fault-case.ts";
import { type Row, rowOf, rowsAlone, rowsBacked } from "./expected-ledger.ts";
import { expectedMetrics, metricsOf } from "./expected-metrics.ts";

type Groups = Readonly<Partial<Record<Group, ProviderGroup>>>;

const GROUPS: Groups = {
  openai: { profile: "openai", contextWindowTokens: 8_000 },
  hasty: { profile: "openai", timeoutSeconds: LIMITS.providerTimeoutMs / 1_000 },
  anthropic: { profile: "anthropic" },
  gemini: { profile: "gemini" },
};
const NEXT_GROUPS: Readonly<Record<NextGroup, ProviderGroup>> = {
  next: { profile: "deepseek" },
  smaller: { profile: "deepseek", contextWindowTokens: 4_000 },
  larger: { profile: "deepseek", contextWindowTokens: 32_000 },
};

/** Of every provider that answers at all. */
const ANSWER = { tokensOut: 8 };

const PROGRAM = join(import.meta.dirname, "../support/quick-retries-program.ts");

/** What one test has: a running gateway, the groups of its providers, and all that was asked of it. */
interface Stage {
  readonly bench: FaultBench;
  readonly groups: Groups;
  readonly calls: Map<string, JudgedCall>;
}

/** Every fault in unary and stream, through every face, in front of one gateway; each provider is used by one test. */
export function describeFaults(
  cases: readonly FaultCase[],
  moreGroups: () => Promise<Groups> = async () => ({}),
) {
  let stage: Stage;
  const faces = createFaces();
  beforeAll(async () => {
    const groups = { ...GROUPS, ...(await moreGroups()) };
    const bench = await startFaultBench({
      groups: {
        ...withCounts({ ...groups, ...NEXT_GROUPS }, cases, faces.length),
        warm: { profile: "openai", count: 1 },
      },
      program: PROGRAM,
      env: {
        STREAM_IDLE_TIMEOUT: String(LIMITS.streamIdleMs / 1_000),
        PROVIDER_CONNECT_TIMEOUT: String(LIMITS.connectMs / 1_000),
      },
    });
    stage = { bench, groups, calls: new Map() };
    await warmUp(stage, faces);
  });
  afterAll(async () => {
    await expectLawL({ ...stage.bench, calls: stage.calls }, "thorough");
    await stage.bench.close();
  });

  describe.each(cases)("$fault", (fault) => {
    describe.each(CALL_KINDS)("%s", (kind) => {
      it.concurrent.for(faces)("through $name", (face, { expect }) =>
        expectFault({ ...stage, expect, face, kind, fault }),
      );
    });
  });
}

/** The first calls of a process take hundreds of milliseconds, which are none of its limits. */
async function warmUp({ bench, calls }: Stage, faces: readonly Face[]): Promise<void> {
  const model = bench.candidate("warm");
  for (const kind of CALL_KINDS)
    for (const face of faces) {
      const requestId = randomUUID();
      calls.set(requestId, {});
      const text = promptOf(requestId, {});
      await face.complete({ kind, url: bench.gateway.url, secret: bench.secret, requestId, model, text });
    }
  await expectLawL({ ...bench, calls });
  await scrape(bench.gateway.url);
}

/** As many providers of each group as there are calls of it. */
function withCounts(
  groups: Readonly<Record<string, ProviderGroup>>,
  cases: readonly FaultCase[],
  faces: number,
) {
  const tests = CALL_KINDS.length * faces;
  const count = (name: string) =>
    cases.filter(({ group = "openai" }) => group === name).length * tests * 2 +
    cases.filter(({ nextGroup = "next" }) => nextGroup === name).length * tests;
  return Object.fromEntries(
    Object.entries(groups)
      .map(([name, group]) => [name, { ...group, count: count(name) }] as const)
      .filter(([, group]) => group.count > 0),
  );
}

interface Trial extends Stage {
  /** The test's own: others run at the same time. */
  readonly expect: ExpectStatic;
  readonly face: Face;
  readonly kind: CallKind;
  readonly fault: FaultCase;
}

/** A call, and what is to be seen of it. */
interface Asked {
  readonly requestId: string;
  readonly outcome: FaceOutcome;
  readonly rows: readonly Row[];
  /** How it ended for its caller. */
  readonly failure: Reason | undefined;
}

/** The provider is asked twice: once with no other one to turn to, and once with another. */
async function expectFault(trial: Trial): Promise<void> {
  const { bench, fault, kind } = trial;
  const expected = fault[kind];
  const alone = bench.candidate(fault.group);
  const first = bench.candidate(fault.group);
  const next = bench.candidate(fault.nextGroup ?? "next");
  const fails = expected.recovers ? undefined : expected.failure;
  const [own, backed] = await Promise.all([
    ask(trial, { rows: rowsAlone(expected, providerOf(alone)), failure: fails }, alone),
    ask(
      trial,
      {
        rows: rowsBacked(expected, providerOf(first), providerOf(next)),
        failure: expected.next ? undefined : fails,
      },
      ...([first, next] as const),
    ),
  ]);
  expectTold(trial, expected, own);
  expectTold(trial, { ...expected, ...(expected.next && { begun: "" }) }, backed);
  expectWithin(trial, expected.takes, own);
  expectWithin(trial, (expected.next && expected.beforeNext?.takes) || expected.takes, backed);
  await expectRecorded(trial, [own, backed], [alone, first, next].map(providerOf));
}

const providerOf = (model: string) => model.slice(0, model.indexOf("/"));

async function ask(
  trial: Trial,
  expected: Pick<Asked, "rows" | "failure">,
  ...[model, ...fallbackModels]: readonly [string, ...string[]]
): Promise<Asked> {
  const { bench, face, kind, fault, groups, calls } = trial;
  const requestId = randomUUID();
  const profile = groups[fault.group ?? "openai"]?.profile ?? "openai";
  const script = { ...fault.script, ...(kind === "stream" && fault.streamScript) };
  const call: JudgedCall = {
    text: `Hello. [[sim ${JSON.stringify(ANSWER)}]]`,
    scripts: { [profile]: script },
    ...(fault.usageHidden && { usageHidden: true }),
  };
  calls.set(requestId, call);
  const outcome = await face.complete({
    ...{ kind, url: bench.gateway.url, secret: bench.secret, requestId, model, fallbackModels },
    ...{ text: promptOf(requestId, call), timeoutMs: fault.deadlineMs },
  });
  return { requestId, outcome, ...expected };
}

/** Addresses and errors of the system, keys of providers, prompts and answers. */
const UNTELLABLE = /127\.0\.0\.1|\.invalid|\bE[A-Z]{4,}\b|certificate|\bsk-|request=|w00/;

/** What the caller sees. */
function expectTold(
  { expect, face, kind }: Trial,
  expected: Expected,
  { outcome, rows, failure }: Asked,
): void {
  const delivered = failure === undefined ? WHOLE_TEXT : (expected.begun ?? "");
  const begun = failure !== undefined && delivered !== "";
  const words = failure && FAILURE_WORDS[failure];
  expect(outcome).toMatchObject({
    reason: failure,
    status: words ? face.statusOf(words, { kind, begun }) : face.success,
    text: delivered,
    ...(failure === undefined && { finishReason: expected.finishReason ?? "STOP" }),
  });
  // Nobody waits beyond the deadline to be told of the attempts, if the machine has no time to list them.
  if (failure !== "DEADLINE_EXCEEDED" || outcome.attemptsTold > 0)
    expect(outcome).toMatchObject({ attemptsTold: rows.length, provider: rows.at(-1)?.provider });
  if (failure !== undefined) expect(outcome.message).not.toMatch(UNTELLABLE);
  if (begun) return;
  if (!words?.retry) expect(outcome.retryAfterMs).toBeUndefined();
  else if (expected.retryAfterMs !== undefined) expect(outcome.retryAfterMs).toBe(expected.retryAfterMs);
  else expect(outcome.retryAfterMs).toBeGreaterThan(0);
}

function expectWithin({ expect }: Trial, { fromMs, toMs }: Takes, { outcome }: Asked): void {
  expect(outcome.elapsedMs).toBeGreaterThanOrEqual(fromMs);
  expect(outcome.elapsedMs).toBeLessThanOrEqual(toMs + MACHINE_NOISE_MS);
}

const POLLING = { interval: 10, timeout: 5_000 };

/** What the ledger and the metrics say, and that the ledger's tokens and costs are those of the provider's bill. */
async function expectRecorded(trial: Trial, asked: readonly Asked[], providers: readonly string[]) {
  const { expect, bench, calls } = trial;
  const ids = new Set(asked.map(({ requestId }) => requestId));
  const evidence: Evidence = {
    ...{ url: bench.url, clients: bench.clients, providerOf: bench.providerOf, providers, calls },
    outcomes: asked.map(({ requestId, outcome }) => ({
      ...outcome,
      ...{
        requestId,
        error: undefined,
        usage: undefined,
        cost: undefined,
        replayed: false,
        events: 0,
        restarts: [],
      },
    })),
    billed: async () => (await bench.billed()).filter(({ reference = "" }) => ids.has(reference)),
  };
  await expectAllWritten(trial, evidence, asked);
  const { recordsOf } = await expectLawL(evidence);
  for (const { requestId, rows } of asked) expect(recordsOf(requestId).map(rowOf)).toEqual(rows);
  await expect
    .poll(async () => metricsOf(await scrape(bench.url), providers), POLLING)
    .toEqual(expectedMetrics(asked));
}

/** An error that cost nothing does not wait for the disk. */
async function expectAllWritten(
  { expect }: Trial,
  { clients, providers = [] }: Evidence,
  asked: readonly Asked[],
) {
  const attempts = asked.reduce((sum, { rows }) => sum + rows.length, 0);
  await expect
    .poll(async () => {
      const filter = { providers: [...providers] };
      const { totals } = await clients.costs(ADMIN_KEY).costQuery({ filter });
      return { attempts: Number(totals?.attempts), requests: Number(totals?.requests) };
    }, POLLING)
    .toEqual({ attempts, requests: asked.length });
}
