import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** File times are as coarse as the kernel's clock tick; this is far more. */
const CLOCK_MARGIN_MS = 2_000;

/**
 * Puts a directory's files on the disk, with all below it. The first call syncs everything, later ones what has
 * changed since the last that succeeded began.
 */
export function createDirectorySync(directory: string): () => Promise<void> {
  let changedSinceMs = Number.NEGATIVE_INFINITY;
  return async () => {
    const startedAtMs = Date.now();
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of [...paths, directory]) await syncIfChanged(path, changedSinceMs);
    changedSinceMs = startedAtMs - CLOCK_MARGIN_MS;
  };
}

async function syncIfChanged(path: string, changedSinceMs: number): Promise<void> {
  try {
    const { mtimeMs } = await stat(path);
    if (mtimeMs < changedSinceMs) return;
    const file = await open(path, "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // The database may have removed it meanwhile; then its directory has changed, too.
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}
