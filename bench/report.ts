import { cpus } from "node:os";
import type { Books } from "./books.ts";
import type { Measurement } from "./measurement.ts";
import { type BenchOptions, OPENAI_KINDS } from "./options.ts";
import type { Findings } from "./scenarios.ts";

export interface Run {
  readonly options: BenchOptions;
  readonly startedAt: Date;
  readonly cores: string;
  readonly findings: Findings;
  readonly books: Books;
}

/** The report, as Markdown. */
export function toMarkdown(run: Run): string {
  const { findings, books, options } = run;
  const model = cpus()[0]?.model.trim() ?? "unknown CPU";
  const calls = findings.made.reduce((sum, { succeeded }) => sum + succeeded, 0);
  const sections = [
    `${run.startedAt.toISOString().slice(0, 16)}Z, Node ${process.version}, ${model}, ${run.cores}. ` +
      `Ledger on ${options.database}; authentication, limits, metrics and a log line for each request on.` +
      (options.profile ? " **Under the CPU profiler: slower than it is.**" : ""),
    loopTable("Closed loop: the gateway", findings.closedLoops),
    loopTable("Closed loop: Portkey's gateway, without accounts", findings.portkey),
    loopTable("Closed loop: bare Connect with undici, nothing else (the yardstick)", findings.bareConnect),
    loopTable("Closed loop: the upstream called directly", findings.upstream),
    latencyTable(findings.constantRate),
    findings.openStreams &&
      `**${findings.openStreams.count} open streams:** RSS ${number(findings.openStreams.rssMebibytes)} MiB ` +
        `(${number(findings.openStreams.rssMebibytesBefore)} MiB before, after all that went before).`,
    targetTable(findings),
    `**Books:** ${calls} calls made, ${books.requests} on the ledger, ${books.costUsd} USD. ` +
      (books.differences.length === 0
        ? "Generator, ledger, metrics and the provider's bill agree to the last token and picodollar."
        : `**They differ:** ${books.differences.join("; ")}`),
    findings.failures.size > 0 &&
      `**Failures:**\n\n${[...findings.failures].map(([failure, count]) => `- ${count} × ${failure}`).join("\n")}`,
  ];
  return sections.filter((section) => section).join("\n\n");
}

function loopTable(title: string, measurements: readonly Measurement[]): string | undefined {
  if (measurements.length === 0) return undefined;
  const rows = measurements.map((measurement) =>
    row([
      measurement.scenario,
      String(measurement.inFlight ?? ""),
      number(measurement.perSecond),
      number(measurement.cpuMicrosecondsPerCall),
      number(1e6 / measurement.cpuMicrosecondsPerCall),
      number(measurement.p50Ms, 2),
      number(measurement.p99Ms, 2),
      number(measurement.messagesPerCall, 1),
      number(measurement.rssMebibytes),
      `${percent(measurement.ownCoreShare)} + ${percent(measurement.strangersShare)}`,
      percent(measurement.otherCoresShare),
      number(measurement.loadAverage, 1),
      String(measurement.failed),
    ]),
  );
  return [
    `**${title}**\n`,
    row([
      "call",
      "in flight",
      "calls/s",
      "CPU µs/call",
      "calls per CPU second",
      "p50 ms",
      "p99 ms",
      "messages/call",
      "RSS MiB",
      "its core: own + others",
      "other cores",
      "load",
      "errors",
    ]),
    row(["---", ...Array.from({ length: 12 }, () => "--:")]),
    ...rows,
  ].join("\n");
}

function latencyTable(measurements: readonly Measurement[]): string | undefined {
  const [direct, ...throughGateway] = measurements;
  if (!direct) return undefined;
  return [
    "**Constant rate, unary: latency added to that of the upstream**\n",
    row([
      "call",
      "calls/s",
      "p50 ms",
      "p99 ms",
      "added p50 ms",
      "added p99 ms",
      "its core",
      "load",
      "errors",
    ]),
    row(["---", ...Array.from({ length: 8 }, () => "--:")]),
    ...[direct, ...throughGateway].map((measurement) =>
      row([
        measurement.scenario,
        number(measurement.perSecond),
        number(measurement.p50Ms, 2),
        number(measurement.p99Ms, 2),
        measurement === direct ? "" : number(measurement.p50Ms - direct.p50Ms, 2),
        measurement === direct ? "" : number(measurement.p99Ms - direct.p99Ms, 2),
        percent(measurement.ownCoreShare),
        number(measurement.loadAverage, 1),
        String(measurement.failed),
      ]),
    ),
  ].join("\n");
}

interface Goal {
  readonly name: string;
  readonly goal: number;
  readonly measured: number | undefined;
  /** What a core would do that nothing else ran on, by the CPU time of a call. */
  readonly byCpuTime?: number | undefined;
  readonly atLeast: boolean;
}

function targetTable(findings: Findings): string | undefined {
  const best = (scenario: string, rateOf: (loop: Measurement) => number) => {
    const rates = findings.closedLoops.filter((loop) => loop.scenario === scenario).map(rateOf);
    return rates.length === 0 ? undefined : Math.max(...rates);
  };
  const throughput = (scenario: string) => ({
    measured: best(scenario, (loop) => loop.perSecond),
    byCpuTime: best(scenario, (loop) => 1e6 / loop.cpuMicrosecondsPerCall),
    atLeast: true,
  });
  const [direct, ...throughGateway] = findings.constantRate;
  const goals: readonly Goal[] = [
    { name: "unary calls/s a core, gRPC", goal: 1_800, ...throughput("unary-grpc") },
    { name: "unary calls/s a core, Connect JSON", goal: 2_500, ...throughput("unary-connect") },
    ...OPENAI_KINDS.map((kind) => ({
      name: `${kind}, times Portkey's calls/s`,
      goal: 3,
      ...timesPortkey(findings, kind),
    })),
    {
      name: "added p99 at 500 calls/s, ms, the slower of both",
      goal: 10,
      measured: direct && Math.max(...throughGateway.map(({ p99Ms }) => p99Ms - direct.p99Ms)),
      atLeast: false,
    },
    {
      name: "RSS at 1,000 open streams, MiB",
      goal: 300,
      measured: findings.openStreams?.rssMebibytes,
      atLeast: false,
    },
  ];
  const rows = goals.flatMap(({ name, goal, measured, byCpuTime, atLeast }) => {
    if (measured === undefined) return [];
    const met = atLeast ? measured >= goal : measured <= goal;
    return [
      row([
        name,
        `${atLeast ? "≥" : "≤"} ${number(goal)}`,
        number(measured, goal < 100 ? 1 : 0),
        byCpuTime === undefined ? "" : number(byCpuTime, goal < 100 ? 1 : 0),
        met ? "yes" : "**no**",
      ]),
    ];
  });
  if (rows.length === 0) return undefined;
  return [
    row(["target", "goal", "measured", "by CPU time", "met"]),
    row(["---", "--:", "--:", "--:", "---"]),
    ...rows,
  ].join("\n");
}

/** The best of both; by CPU time as well, which says more on a machine that others use, too. */
function timesPortkey({ closedLoops, portkey }: Findings, kind: string) {
  if (portkey.length === 0) return { measured: undefined, atLeast: true };
  const best = (loops: readonly Measurement[], rateOf: (loop: Measurement) => number) =>
    Math.max(...loops.filter(({ scenario }) => scenario === kind).map(rateOf));
  const ratio = (rateOf: (loop: Measurement) => number) => {
    const value = best(closedLoops, rateOf) / best(portkey, rateOf);
    return Number.isFinite(value) ? value : undefined;
  };
  return {
    measured: ratio(({ perSecond }) => perSecond),
    byCpuTime: ratio(({ cpuMicrosecondsPerCall }) => 1e6 / cpuMicrosecondsPerCall),
    atLeast: true,
  };
}

const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;

const percent = (share: number) => (Number.isFinite(share) ? `${Math.round(share * 100)} %` : "–");

function number(value: number, places = 0): string {
  if (!Number.isFinite(value)) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
}
