import { setTimeout as sleep } from "node:timers/promises";
import { readProcessStat } from "./process-stat.ts";
import { Tally } from "./tally.ts";
import type { Target } from "./target.ts";

export interface OpenStreams {
  readonly tally: Tally;
  /** How many were open when memory was read. */
  readonly open: number;
  /** The most that was seen while all were open. */
  readonly rssBytes: number;
  readonly rssBytesBefore: number;
}

const OPEN_PER_TURN = 10;
const TURN_MS = 10;
const SAMPLE_EVERY_MS = 250;

/** Opens streams one after the other, reads the process's memory while all of them are open, and lets them end. */
export async function holdOpenStreams(
  target: Target,
  options: { readonly count: number; readonly pid: number },
): Promise<OpenStreams> {
  const { count, pid } = options;
  const tally = new Tally();
  const rssBytesBefore = readProcessStat(pid).rssBytes;
  let open = 0;
  for (let sent = 0; sent < count; sent += 1) {
    open += 1;
    target.send((failure) => {
      open -= 1;
      tally.add(failure);
    });
    if (sent % OPEN_PER_TURN === OPEN_PER_TURN - 1) await sleep(TURN_MS);
  }
  const openAtFirst = open;
  let rssBytes = Number.NaN;
  while (open > 0) {
    if (open === openAtFirst) rssBytes = Math.max(rssBytes || 0, readProcessStat(pid).rssBytes);
    await sleep(SAMPLE_EVERY_MS);
  }
  return { tally, open: openAtFirst, rssBytes, rssBytesBefore };
}
