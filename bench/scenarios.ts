import type { Made } from "./books.ts";
import { type LoopResult, runClosedLoop } from "./closed-loop.ts";
import { type Measurement, type Sample, sampleOf, toMeasurement } from "./measurement.ts";
import { runOpenLoop } from "./open-loop.ts";
import { holdOpenStreams } from "./open-streams.ts";
import { type BenchOptions, type Kind, OPENAI_KINDS, type OpenAiKind, RPC_KINDS } from "./options.ts";
import { createPortkeyTarget, type Portkey } from "./portkey.ts";
import type { Stretch } from "./profile-report.ts";
import { openStreamWorkload, STREAM, UNARY, type Workload } from "./requests.ts";
import type { Rig } from "./rig.ts";
import type { Tally } from "./tally.ts";
import type { Target } from "./target.ts";
import { createDirectTarget, createTarget } from "./targets.ts";

/** What a run found out. */
export interface Findings {
  readonly closedLoops: Measurement[];
  readonly bareConnect: Measurement[];
  readonly portkey: Measurement[];
  readonly upstream: Measurement[];
  /** Unary calls at a constant rate: direct, gRPC, Connect. */
  readonly constantRate: Measurement[];
  openStreams:
    | { readonly count: number; readonly rssMebibytes: number; readonly rssMebibytesBefore: number }
    | undefined;
  /** Why calls failed, and how many. */
  readonly failures: Map<string, number>;
  /** Calls that the gateway answered, by workload. */
  readonly made: Made[];
  /** Stretches that a profile is worth reading of. */
  readonly stretches: Stretch[];
}

const IN_FLIGHT = [1, 32, 128] as const;
/** Where the yardsticks are measured, and profiles taken. */
const TYPICAL_IN_FLIGHT = 32;
const CONSTANT_RATE_PER_SECOND = 500;
const CONSTANT_RATE_CONNECTIONS = 64;
const OPEN_STREAMS = 1_000;
const BYTES_PER_MEBIBYTE = 1024 * 1024;

const workloadOf = (kind: Kind): Workload => (kind.startsWith("unary") ? UNARY : STREAM);

/** Runs the chosen scenarios one after the other. `progress` is told what comes next. */
export async function runScenarios(
  rig: Rig,
  options: BenchOptions,
  progress: (text: string) => void,
): Promise<Findings> {
  const findings: Findings = {
    closedLoops: [],
    bareConnect: [],
    portkey: [],
    upstream: [],
    constantRate: [],
    openStreams: undefined,
    failures: new Map(),
    made: [],
    stretches: [],
  };
  const { scenarios } = options;
  if (scenarios.has("upstream")) await measureUpstream(rig, options, findings, progress);
  // First, while the gateway has served as little else as Portkey's.
  for (const kind of OPENAI_KINDS) {
    if (!scenarios.has(kind)) continue;
    const peers = rig.portkey ? [portkeyContender(kind, rig.portkey, findings)] : [];
    await measureInTurns(kind, [...peers, gatewayContender(kind, rig, findings)], options, progress);
  }
  for (const kind of RPC_KINDS) {
    // Beside each other in time, so that the machine's mood weighs the same on both.
    if (scenarios.has("bare-connect")) await measureBareConnect(kind, rig, options, findings, progress);
    if (scenarios.has(kind))
      await measureInTurns(kind, [gatewayContender(kind, rig, findings)], options, progress);
  }
  if (scenarios.has("added-latency")) await measureAddedLatency(rig, options, findings, progress);
  if (scenarios.has("open-streams")) await measureOpenStreams(rig, options, findings, progress);
  return findings;
}

type Step = (
  rig: Rig,
  options: BenchOptions,
  findings: Findings,
  progress: (text: string) => void,
) => Promise<void>;
type KindStep = (kind: Kind, ...rest: Parameters<Step>) => Promise<void>;

/** One of those that are measured side by side. */
interface Contender {
  readonly name: string;
  /** Where its lines go. */
  readonly measurements: Measurement[];
  run(load: Load): Promise<LoopResult<Sample>>;
}

interface Load {
  readonly inFlight: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/**
 * Measures them turn by turn in short loops, so that whatever else happens to the machine weighs the same on all, after
 * each of them had time to be compiled.
 */
async function measureInTurns(
  kind: Kind,
  contenders: readonly Contender[],
  options: BenchOptions,
  progress: (text: string) => void,
): Promise<void> {
  for (const { name, run } of contenders) {
    progress(`${name}, warming up`);
    const inFlight = IN_FLIGHT[IN_FLIGHT.length - 1] ?? TYPICAL_IN_FLIGHT;
    await run({ inFlight, seconds: 0, warmUpSeconds: options.firstWarmUpSeconds });
  }
  const turns = contenders.length > 1 ? options.turns : 1;
  const load = { warmUpSeconds: options.warmUpSeconds / turns, seconds: options.seconds / turns };
  for (const inFlight of IN_FLIGHT) {
    const results = contenders.map((): LoopResult<Sample>[] => []);
    for (let turn = 0; turn < turns; turn += 1) {
      for (const [index, { name, run }] of contenders.entries()) {
        progress(`${name}, ${inFlight} in flight`);
        results[index]?.push(await run({ ...load, inFlight }));
      }
    }
    for (const [index, { measurements }] of contenders.entries())
      measurements.push(toMeasurement(kind, inFlight, results[index] ?? []));
  }
}

/** The gateway; stretches for its profile are noted. */
function gatewayContender(kind: Kind, rig: Rig, findings: Findings): Contender {
  return {
    name: kind,
    measurements: findings.closedLoops,
    run: async (load) => {
      const result = await runKind(kind, rig, findings, load);
      if (load.inFlight === TYPICAL_IN_FLIGHT && load.seconds > 0)
        findings.stretches.push(toStretch(`${kind}, ${load.inFlight} in flight`, result));
      return result;
    },
  };
}

async function runKind(kind: Kind, rig: Rig, findings: Findings, load: Load): Promise<LoopResult<Sample>> {
  const workload = workloadOf(kind);
  rig.gateway.child.forgetOutput();
  const target = createTarget(kind, rig.gateway, { workload, inFlight: load.inFlight });
  const sample = () => sampleOf(rig.gateway.child.pid);
  const result = await withTarget(target, (opened) => runClosedLoop(opened, { ...load, sample }));
  book(findings, workload, result.tally);
  return result;
}

const measureBareConnect: KindStep = async (kind, rig, options, findings, progress) => {
  progress(`bare Connect, ${kind}`);
  const load = { workload: workloadOf(kind), inFlight: TYPICAL_IN_FLIGHT };
  const result = await withTarget(createTarget(kind, rig.bare, load), (target) =>
    runClosedLoop(target, {
      ...load,
      ...yardstickTimes(options),
      sample: () => sampleOf(rig.bare.child.pid),
    }),
  );
  findings.bareConnect.push(toMeasurement(kind, load.inFlight, [result]));
  note(findings, "bare Connect", result.tally);
};

/** Portkey's gateway; its calls are on no ledger. */
function portkeyContender(kind: OpenAiKind, portkey: Portkey, findings: Findings): Contender {
  const sample = () => sampleOf(portkey.child.pid);
  return {
    name: `Portkey, ${kind}`,
    measurements: findings.portkey,
    run: async (load) => {
      portkey.child.forgetOutput();
      const call = { workload: workloadOf(kind), inFlight: load.inFlight, stream: kind === "stream-openai" };
      const result = await withTarget(createPortkeyTarget(portkey, call), (target) =>
        runClosedLoop(target, { ...load, sample }),
      );
      note(findings, "Portkey", result.tally);
      return result;
    },
  };
}

const measureUpstream: Step = async (rig, options, findings, progress) => {
  for (const stream of [false, true]) {
    const name = stream ? "stream" : "unary";
    progress(`upstream directly, ${name}`);
    const load = { workload: stream ? STREAM : UNARY, inFlight: TYPICAL_IN_FLIGHT, stream };
    const result = await withTarget(createDirectTarget(rig.upstream.url, load), (target) =>
      runClosedLoop(target, {
        ...load,
        ...yardstickTimes(options),
        sample: () => sampleOf(rig.upstream.child.pid),
      }),
    );
    findings.upstream.push(toMeasurement(name, load.inFlight, [result]));
    note(findings, "upstream", result.tally);
  }
};

const yardstickTimes = ({ warmUpSeconds, seconds }: BenchOptions) => ({
  warmUpSeconds,
  seconds: Math.max(1, seconds / 2),
});

const measureAddedLatency: Step = async (rig, options, findings, progress) => {
  const load = { workload: UNARY, inFlight: CONSTANT_RATE_CONNECTIONS };
  const times = {
    perSecond: CONSTANT_RATE_PER_SECOND,
    warmUpSeconds: options.warmUpSeconds,
    seconds: options.latencySeconds,
  };
  progress(`upstream directly, ${CONSTANT_RATE_PER_SECOND} calls/s`);
  const direct = await withTarget(
    createDirectTarget(rig.upstream.url, { ...load, stream: false }),
    (target) => runOpenLoop(target, { ...times, sample: () => sampleOf(rig.upstream.child.pid) }),
  );
  findings.constantRate.push(toMeasurement("direct", undefined, [direct]));
  note(findings, "upstream", direct.tally);
  for (const kind of ["unary-grpc", "unary-connect"] as const) {
    progress(`${kind}, ${CONSTANT_RATE_PER_SECOND} calls/s`);
    rig.gateway.child.forgetOutput();
    const result = await withTarget(createTarget(kind, rig.gateway, load), (target) =>
      runOpenLoop(target, { ...times, sample: () => sampleOf(rig.gateway.child.pid) }),
    );
    findings.constantRate.push(toMeasurement(kind, undefined, [result]));
    book(findings, UNARY, result.tally);
  }
};

const measureOpenStreams: Step = async (rig, options, findings, progress) => {
  progress(`${OPEN_STREAMS} open streams`);
  const workload = openStreamWorkload(options.openStreamTokens);
  const { pid } = rig.gateway.child;
  const result = await withTarget(
    createTarget("stream-grpc", rig.gateway, { workload, inFlight: OPEN_STREAMS }),
    (target) => holdOpenStreams(target, { count: OPEN_STREAMS, pid }),
  );
  findings.openStreams = {
    count: result.open,
    rssMebibytes: result.rssBytes / BYTES_PER_MEBIBYTE,
    rssMebibytesBefore: result.rssBytesBefore / BYTES_PER_MEBIBYTE,
  };
  book(findings, workload, result.tally);
};

async function withTarget<T>(
  target: Target | Promise<Target>,
  use: (target: Target) => Promise<T>,
): Promise<T> {
  const opened = await target;
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}

/** Counts calls that the gateway's books must hold. */
function book(findings: Findings, workload: Workload, tally: Tally): void {
  const at = findings.made.findIndex((made) => made.workload.model === workload.model);
  const succeeded = (findings.made[at]?.succeeded ?? 0) + tally.succeeded;
  findings.made.splice(at < 0 ? findings.made.length : at, 1, { workload, succeeded });
  note(findings, workload.model, tally);
}

function note(findings: Findings, name: string, tally: Tally): void {
  for (const [failure, count] of tally.failures) {
    const key = `${name}: ${failure}`;
    findings.failures.set(key, (findings.failures.get(key) ?? 0) + count);
  }
}

function toStretch(name: string, { before, after }: LoopResult<Sample>): Stretch {
  return { name, fromMicroseconds: before.atMicroseconds, toMicroseconds: after.atMicroseconds };
}
