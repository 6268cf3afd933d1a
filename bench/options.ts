import { parseArgs } from "node:util";

export const USAGE = `usage: node bench/main.ts [--quick] [--only NAME,...] [--seconds N] [--database pglite|postgres]
                       [--json FILE] [--profile] [--portkey]
  --quick     short windows: at most a minute in all, for a first impression
  --only      some of: unary-grpc, stream-grpc, unary-connect, stream-connect, unary-openai, stream-openai,
              added-latency, open-streams, upstream, bare-connect
  --seconds   measured seconds of each closed loop, 1 to 30; default 8, quick 1
  --database  of the gateway; default postgres
  --json      writes the figures to a file as well
  --profile   runs the gateway under the CPU profiler and prints where its time goes (figures are then lower)
  --portkey   measures Portkey's gateway beside unary-openai and stream-openai; installs it from the registry`;

/** The calls that are measured in a closed loop. */
export const RPC_KINDS = ["unary-grpc", "stream-grpc", "unary-connect", "stream-connect"] as const;
export const OPENAI_KINDS = ["unary-openai", "stream-openai"] as const;
export type OpenAiKind = (typeof OPENAI_KINDS)[number];
export type Kind = (typeof RPC_KINDS)[number] | OpenAiKind;

const SCENARIOS = [
  ...RPC_KINDS,
  ...OPENAI_KINDS,
  "added-latency",
  "open-streams",
  "upstream",
  "bare-connect",
] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

export interface BenchOptions {
  readonly scenarios: ReadonlySet<ScenarioName>;
  readonly database: "pglite" | "postgres";
  readonly jsonFile: string | undefined;
  readonly profile: boolean;
  readonly portkey: boolean;
  /** Before the first loop of a kind, so that the code is compiled when few calls are in flight. */
  readonly firstWarmUpSeconds: number;
  /** Of each closed loop. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** In how many parts a closed loop is cut when two gateways take turns. */
  readonly turns: number;
  /** Of each open loop. */
  readonly latencySeconds: number;
  /** Tokens of the streams that are held open; each takes half a second. */
  readonly openStreamTokens: number;
}

/** @throws TypeError when the arguments make no sense */
export function parseOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      seconds: { type: "string" },
      database: { type: "string", default: "postgres" },
      json: { type: "string" },
      profile: { type: "boolean", default: false },
      portkey: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { quick, database } = values;
  if (database !== "pglite" && database !== "postgres") throw new TypeError(`no such database: ${database}`);
  return {
    scenarios: parseScenarios(values.only),
    database,
    jsonFile: values.json,
    profile: values.profile,
    portkey: values.portkey,
    firstWarmUpSeconds: quick ? 1 : 10,
    warmUpSeconds: quick ? 0.5 : 1.5,
    seconds: parseSeconds(values.seconds) ?? (quick ? 1 : 8),
    turns: quick ? 1 : 4,
    latencySeconds: quick ? 2.5 : 15,
    openStreamTokens: quick ? 12 : 24,
  };
}

function parseScenarios(text: string | undefined): ReadonlySet<ScenarioName> {
  if (text === undefined) return new Set(SCENARIOS);
  return new Set(
    text.split(",").map((name) => {
      const scenario = SCENARIOS.find((known) => known === name.trim());
      if (!scenario) throw new TypeError(`no such scenario: ${name}`);
      return scenario;
    }),
  );
}

function parseSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > 30)
    throw new TypeError(`--seconds takes a whole number from 1 to 30, not ${text}`);
  return seconds;
}
