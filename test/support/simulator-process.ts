import { join } from "node:path";
import { PERSONALITIES, type PersonalityName } from "../../simulator/personalities.ts";
import { spawnProgram } from "./spawn-program.ts";

const ENTRY = join(import.meta.dirname, "../../simulator/main.ts");

/** The simulator as a process of its own, for loads that one process could not make and answer at once. */
export interface SimulatorProcess {
  baseUrl(personality: PersonalityName): string;
  /** Resolves when no call is in progress, so that the bill's file is complete. */
  whenIdle(): Promise<void>;
  close(): Promise<void>;
}

export async function startSimulatorProcess(billFile: string): Promise<SimulatorProcess> {
  const child = spawnProgram([ENTRY, "--bill-file", billFile], { PATH: process.env.PATH });
  child.stderr.pipe(process.stderr, { end: false });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk: Buffer) => resolve(/http:\S+/.exec(chunk.toString("utf8"))?.[0] ?? ""));
    void exited.then(() => reject(new Error("the simulator exited")));
  });
  return {
    baseUrl: (name) => `${url}${PERSONALITIES.find((one) => one.name === name)?.basePath ?? ""}`,
    async whenIdle() {
      await (await fetch(`${url}/_control/bill?wait=1&lines=0`)).text();
    },
    async close() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
