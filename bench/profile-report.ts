import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** A stretch of a run, in microseconds of the system's monotonic clock, which the profiler uses as well. */
export interface Stretch {
  readonly name: string;
  readonly fromMicroseconds: number;
  readonly toMicroseconds: number;
}

export function monotonicMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** V8's format. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const ROOT = join(import.meta.dirname, "..");
const TOP_FUNCTIONS = 30;
const TOP_GROUPS = 16;

/** Where the busy time of the stretch went, by several views, as Markdown. */
export function reportProfile(directory: string, stretch: Stretch): string {
  const byGroup = new Map<string, number>();
  const byFunction = new Map<string, number>();
  const byOwnFile = new Map<string, number>();
  for (const file of readdirSync(directory).filter((name) => name.endsWith(".cpuprofile"))) {
    addProfile(JSON.parse(readFileSync(join(directory, file), "utf8")), stretch, {
      byGroup,
      byFunction,
      byOwnFile,
    });
  }
  return [
    `#### Profile of ${stretch.name}`,
    table("self time by package or folder", byGroup, TOP_GROUPS),
    table("self time by function", byFunction, TOP_FUNCTIONS),
    table("time by the nearest file of ours on the stack", byOwnFile, TOP_FUNCTIONS),
  ].join("\n\n");
}

interface Sums {
  readonly byGroup: Map<string, number>;
  readonly byFunction: Map<string, number>;
  readonly byOwnFile: Map<string, number>;
}

function addProfile(profile: CpuProfile, stretch: Stretch, sums: Sums): void {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(
    profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const selfTime = new Map<number, number>();
  let at = profile.startTime;
  profile.samples.forEach((id, index) => {
    const delta = profile.timeDeltas[index] ?? 0;
    at += delta;
    if (at >= stretch.fromMicroseconds && at < stretch.toMicroseconds)
      selfTime.set(id, (selfTime.get(id) ?? 0) + delta);
  });
  for (const [id, time] of selfTime) {
    const frame = nodes.get(id)?.callFrame;
    if (!frame || frame.functionName === "(idle)" || frame.functionName === "(root)") continue;
    add(sums.byGroup, groupOf(frame), time);
    add(sums.byFunction, `${frame.functionName || "(anonymous)"} ${placeOf(frame)}`, time);
    let ancestor: number | undefined = id;
    while (ancestor !== undefined && !isOwn(nodes.get(ancestor)?.callFrame.url))
      ancestor = parents.get(ancestor);
    const own = ancestor === undefined ? undefined : nodes.get(ancestor)?.callFrame;
    add(sums.byOwnFile, own ? shorten(own.url) : "(none: runtime and packages)", time);
  }
}

type Frame = CpuProfile["nodes"][number]["callFrame"];

const isOwn = (url: string | undefined) =>
  url?.startsWith("file://") === true && !url.includes("/node_modules/");

function shorten(url: string): string {
  return url.startsWith("file://") ? relative(ROOT, new URL(url).pathname) : url;
}

function groupOf({ functionName, url }: Frame): string {
  if (url === "") return functionName.startsWith("(") ? functionName : "native code";
  if (url.startsWith("node:")) return url.replace(/^node:internal\/([^/]+).*/, "node:internal/$1");
  const installed = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url);
  if (installed) return installed[1] ?? url;
  return shorten(url).split("/").slice(0, 2).join("/");
}

function placeOf({ url, lineNumber }: Frame): string {
  if (url === "") return "";
  return `${shorten(url).replace(/.*node_modules\//, "")}:${lineNumber + 1}`;
}

function add(sums: Map<string, number>, key: string, time: number): void {
  sums.set(key, (sums.get(key) ?? 0) + time);
}

function table(title: string, sums: ReadonlyMap<string, number>, rows: number): string {
  const total = [...sums.values()].reduce((sum, time) => sum + time, 0);
  const lines = [...sums]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, rows)
    .map(([name, time]) => `| ${((100 * time) / total).toFixed(1)} % | ${name} |`);
  return [`| busy | ${title} |`, "|--:|---|", ...lines].join("\n");
}
