import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** A held lock. */
export interface DirectoryLock {
  release(): void;
}

/** The directory belongs to another process (or is open in this one already). */
export class DirectoryInUseError extends Error {
  override readonly name = "DirectoryInUseError";

  constructor(directory: string, options?: ErrorOptions) {
    super(
      `the data directory ${directory} is in use by another process; stop it or choose another DATA_DIR`,
      options,
    );
  }
}

/**
 * Takes the lock file for this process, at once or not at all. PGlite has no lock of its own, and two processes in one
 * directory lose acknowledged rows. An exclusive SQLite transaction is a lock that every platform has, that also
 * holds between containers that share the volume, and that the kernel frees when the process dies.
 * @param directory named in the error
 * @throws DirectoryInUseError
 */
export function lockDirectory(directory: string, lockFile: string): DirectoryLock {
  const database = new DatabaseSync(lockFile, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    database.close();
    if (isBusy(cause)) throw new DirectoryInUseError(directory, { cause });
    throw cause;
  }
  return { release: () => database.close() };
}

/**
 * Makes the data directory if need be and takes it for this process: the embedded database and the journal are in it.
 * @throws DirectoryInUseError
 */
export async function lockDataDirectory(dataDir: string): Promise<DirectoryLock> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  return lockDirectory(dataDir, join(dataDir, "db.lock"));
}

/** SQLite's primary result code for a lock that somebody else holds. */
const SQLITE_BUSY = 5;

function isBusy(error: unknown): boolean {
  return (
    error instanceof Error &&
    "errcode" in error &&
    typeof error.errcode === "number" &&
    (error.errcode & 0xff) === SQLITE_BUSY
  );
}
