import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { BillLine } from "../../../simulator/bill.ts";
import type { CallEvent } from "../../../simulator/exchange.ts";
import { type Simulator, startSimulator } from "../../../simulator/simulator.ts";
import { simulatedProviders, writeConfigFile } from "../gateway-under-test.ts";

/** One simulator with its fsynced bill, and what gateways need to run in front of it, however often they die. */
export interface CrashBench {
  readonly simulator: Simulator;
  readonly folder: string;
  /** The environment of a gateway. */
  readonly env: Readonly<Record<string, string>>;
  /** The lines of calls whose reference begins so, once none of them is under way. */
  billedOf(prefix: string): Promise<readonly BillLine[]>;
  /** Tells of the calls whose reference begins so; one listener each. */
  listen(prefix: string, onEvent: (event: CallEvent) => void): void;
  close(): Promise<void>;
}

/** References look like `<lane>-<kill>-<number>`. */
const laneOf = (reference: string) => reference.slice(0, reference.indexOf("-") + 1);

export async function startCrashBench(): Promise<CrashBench> {
  const folder = mkdtempSync(join(tmpdir(), "llm-gateway-crash-"));
  const underWay = new Map<string, string>();
  const listeners = new Map<string, (event: CallEvent) => void>();
  const onEvent = (event: CallEvent) => {
    const { kind, callId, reference = "" } = event;
    if (kind === "arrived") underWay.set(callId, reference);
    if (kind === "billed") underWay.delete(callId);
    listeners.get(laneOf(reference))?.(event);
  };
  const simulator = await startSimulator({ billFile: join(folder, "bill.jsonl"), onEvent });
  const config = writeConfigFile();
  // Starts take two thirds of the time with compiled code at hand.
  const cache = join(folder, "compile-cache");
  mkdirSync(cache);
  return {
    ...{ simulator, folder },
    env: { ...simulatedProviders(simulator), CONFIG_FILE: config.path, NODE_COMPILE_CACHE: cache },
    async billedOf(prefix) {
      while ([...underWay.values()].some((reference) => reference.startsWith(prefix))) await delay(2);
      return simulator.bill.lines.filter(({ reference }) => reference?.startsWith(prefix));
    },
    listen: (prefix, listener) => void listeners.set(prefix, listener),
    async close() {
      await simulator.close();
      config.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
