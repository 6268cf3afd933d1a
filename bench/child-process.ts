import { spawn } from "node:child_process";
import { closeSync, ftruncateSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Workspace } from "./workspace.ts";

/** A program of ours that runs beside the benchmark. */
export interface Child {
  readonly pid: number;
  /** What the `ready` pattern captured. */
  readonly match: RegExpExecArray;
  /** Empties the file with its output, so that it does not fill the disk. */
  forgetOutput(): void;
  /** SIGTERM, then SIGKILL after a while. Resolves to the exit code or signal. May be called twice. */
  stop(): Promise<number | string>;
}

export interface ChildOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What it prints once it is up. */
  readonly ready: RegExp;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;

/**
 * Starts a program whose output goes to a file, as a service's does, and waits until it is up.
 * @throws Error with its output when it does not come up
 */
export async function startChild(workspace: Workspace, options: ChildOptions): Promise<Child> {
  const logFile = join(workspace.directory, `${options.name}.log`);
  const log = openSync(logFile, "a");
  const [program = "", ...args] = options.command;
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, TMPDIR: workspace.directory, ...options.env },
    stdio: ["ignore", log, log],
  });
  let ended: number | string | undefined;
  const exited = new Promise<number | string>((resolve) => {
    const end = (how: number | string) => {
      ended = how;
      resolve(how);
    };
    child.once("exit", (code, signal) => end(code ?? signal ?? "unknown"));
    child.once("error", (error) => end(error.message));
  });
  const stop = async () => {
    if (ended === undefined) child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const code = await exited;
    clearTimeout(timer);
    return code;
  };
  workspace.atEnd(stop);
  workspace.atExit(() => {
    if (ended === undefined) child.kill("SIGKILL");
    closeSync(log);
  });

  const startedAt = performance.now();
  let match = options.ready.exec(readFileSync(logFile, "utf8"));
  while (match === null) {
    if (ended !== undefined || performance.now() - startedAt > START_TIMEOUT_MS) {
      const output = readFileSync(logFile, "utf8").slice(-5_000);
      throw new Error(
        `${options.name} did not start (${ended ?? `not within ${START_TIMEOUT_MS} ms`}):\n${output}`,
      );
    }
    await sleep(25);
    match = options.ready.exec(readFileSync(logFile, "utf8"));
  }
  return {
    pid: child.pid ?? 0,
    match,
    forgetOutput: () => ftruncateSync(log),
    stop,
  };
}
