import { afterAll, afterEach, beforeAll } from "vitest";
import { type FaultBench, type FaultBenchOptions, startFaultBench } from "./fault-bench.ts";
import { expectLawL } from "./law-l.ts";

/** One gateway for the tests of a file. After each of them the whole ledger must equal the simulator's whole bill. */
export function useFaultBench(
  options: FaultBenchOptions | (() => Promise<FaultBenchOptions>) = {},
): () => FaultBench {
  let bench: FaultBench | undefined;
  const get = () => {
    if (!bench) throw new Error("the bench is not running");
    return bench;
  };
  beforeAll(async () => {
    bench = await startFaultBench(typeof options === "function" ? await options() : options);
  });
  afterEach(async () => {
    await expectLawL(get());
  });
  afterAll(async () => {
    if (bench) await expectLawL(bench, "thorough");
    await bench?.close();
  });
  return get;
}
