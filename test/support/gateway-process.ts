import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createDataDirectory } from "./data-directory.ts";
import { spawnProgram } from "./spawn-program.ts";

/** The administrator key of gateways started by tests. */
export const ADMIN_KEY = "test-admin-key-0123456789abcdef-0123456789";

/** A process of the gateway, which may not be up yet. */
export interface SpawnedGateway {
  readonly pid: number;
  readonly dataDir: string;
  /** Everything that it wrote so far. */
  output(): string;
  signal(name: NodeJS.Signals): void;
  /** Exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>;
  /** The port, once it says that it listens; rejects when it does not come up. */
  readonly listening: Promise<number>;
}

export interface GatewayProcess extends Omit<SpawnedGateway, "listening"> {
  readonly url: string;
  readonly port: number;
  /** SIGTERM, wait, remove the data directory if it was made here. */
  stop(): Promise<number | string>;
}

export interface GatewayProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Kept after the process if given. */
  readonly dataDir?: string;
  /** Path of the program. @default `src/main.ts` */
  readonly program?: string;
}

const START_TIMEOUT_MS = 40_000;
const ENTRY = join(import.meta.dirname, "../../src/main.ts");

/** Starts the gateway as users do, on a free port, and waits until it says where it listens. */
export async function startGatewayProcess(options: GatewayProcessOptions = {}): Promise<GatewayProcess> {
  const dataDir = options.dataDir ?? (await createDataDirectory("process"));
  const { listening, ...spawned } = spawnGateway({ ...options, dataDir });
  const port = await listening;
  return {
    ...spawned,
    url: `http://127.0.0.1:${port}`,
    port,
    async stop() {
      spawned.signal("SIGTERM");
      const code = await spawned.exited;
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
      return code;
    },
  };
}

/** Starts the gateway and waits for nothing. */
export function spawnGateway({
  env,
  dataDir,
  program = ENTRY,
}: GatewayProcessOptions & { readonly dataDir: string }): SpawnedGateway {
  const defaults = { PATH: process.env.PATH, HOST: "127.0.0.1", PORT: "0", DATA_DIR: dataDir, ADMIN_KEY };
  const child = spawnProgram([program], { ...defaults, ...env });
  let output = "";
  const collect = (chunk: Buffer) => {
    output += chunk.toString("utf8");
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const exited = new Promise<number | string>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
  const listening = listeningPort(child, exited, () => output);
  // Who kills it on the way does not ask.
  listening.catch(() => {});
  return {
    ...{ dataDir, exited, listening, pid: child.pid ?? 0 },
    output: () => output,
    signal: (name) => void child.kill(name),
  };
}

function listeningPort(
  child: ChildProcess,
  exited: Promise<number | string>,
  output: () => string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`the gateway did not start in ${START_TIMEOUT_MS} ms:\n${output()}`));
    }, START_TIMEOUT_MS);
    const look = () => {
      const match = /listening on https?:\/\/[^:\s]+:(\d+)/.exec(output());
      if (!match) return;
      clearTimeout(timer);
      child.stdout?.off("data", look);
      resolve(Number(match[1]));
    };
    child.stdout?.on("data", look);
    void exited.then((code) => {
      clearTimeout(timer);
      reject(new Error(`the gateway exited with ${code}:\n${output()}`));
    });
  });
}
