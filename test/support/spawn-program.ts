import { type ChildProcessByStdio, spawn } from "node:child_process";
import { join } from "node:path";
import type { Readable } from "node:stream";

const END_WITH_PARENT = join(import.meta.dirname, "end-with-parent.ts");

/**
 * Starts a program of ours in a process of its own, which is killed when this one is gone: a run of the tests that is
 * aborted leaves none behind.
 * @param command path and arguments
 * @param env the whole environment; unset: that of this process
 */
export function spawnProgram(
  command: readonly string[],
  env?: NodeJS.ProcessEnv,
): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, ["--import", END_WITH_PARENT, ...command], {
    ...(env === undefined ? {} : { env }),
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  }) as ChildProcessByStdio<null, Readable, Readable>;
}
