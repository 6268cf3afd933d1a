import { randomFillSync } from "node:crypto";
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";

/**
 * Space that is kept aside. Its larger part is given up when the disk is full, so that the outcomes of calls under way
 * can still be written; the rest when not even the trimming that makes room fits any more. Without it a journal that
 * filled its disk itself could never get out of that.
 */
export interface JournalReserve {
  /** A quarter of the free space at the start, 256 KiB at least and 8 MiB at most. */
  readonly bytes: number;
  /** Makes sure that it is there. False when there is no room for it. @throws what else the disk has to say */
  fill(): boolean;
  /** Gives space free: for outcomes, or all of it for the trimming. */
  release(purpose: "outcomes" | "trimming"): void;
}

/** Outcomes of some 2,000 calls, and what the log may hold of them. */
const MAX_RESERVE_BYTES = 8 * 1_024 ** 2;
/** With less the disk counts as full. */
const MIN_RESERVE_BYTES = 256 * 1_024;
const TRIMMING_SHARE = 1 / 4;
const CHUNK_BYTES = 64 * 1_024;

/** Two files in this directory. */
export function createJournalReserve(directory: string): JournalReserve {
  const files = [join(directory, "reserve-for-outcomes"), join(directory, "reserve-for-trimming")] as const;
  const [outcomes, trimming] = files;
  /** With the space that the reserve itself takes. */
  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize + sizeOf(outcomes) + sizeOf(trimming);
  };
  const bytes = Math.min(MAX_RESERVE_BYTES, Math.max(MIN_RESERVE_BYTES, Math.floor(freeBytes() / 4)));
  const trimmingBytes = bytes * TRIMMING_SHARE;
  return {
    bytes,
    fill() {
      if (sizeOf(outcomes) + sizeOf(trimming) >= bytes) return true;
      if (freeBytes() < bytes + MIN_RESERVE_BYTES) return false;
      try {
        write(trimming, trimmingBytes);
        write(outcomes, bytes - trimmingBytes);
        return true;
      } catch (error) {
        rmSync(outcomes, { force: true });
        if (isNoRoom(error)) return false;
        throw error;
      }
    },
    release(purpose) {
      rmSync(outcomes, { force: true });
      if (purpose === "trimming") rmSync(trimming, { force: true });
    },
  };
}

/** Random bytes, for zeros take no room on some file systems. */
function write(file: string, bytes: number): void {
  if (sizeOf(file) >= bytes) return;
  const chunk = randomFillSync(Buffer.alloc(CHUNK_BYTES));
  const descriptor = openSync(file, "w", 0o600);
  try {
    for (let written = 0; written < bytes; ) {
      written += writeSync(descriptor, chunk, 0, Math.min(CHUNK_BYTES, bytes - written));
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Whether the error is a full disk's, told by the system or by SQLite. */
export function isNoRoom(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    ("code" in error && error.code === "ENOSPC") || ("errcode" in error && error.errcode === SQLITE_FULL)
  );
}

const SQLITE_FULL = 13;

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
