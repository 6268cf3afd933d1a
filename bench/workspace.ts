import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A temporary directory and whatever must be stopped at the end, however the end comes. */
export interface Workspace {
  readonly directory: string;
  /** Runs at the end, the last one first. */
  atEnd(stop: () => Promise<unknown>): void;
  /** Runs when the process exits or is told to, whatever happened before; it cannot wait for anything. */
  atExit(undo: () => void): void;
  /** Stops everything and removes the directory. May be called twice. */
  close(): Promise<void>;
}

/**
 * Makes the directory and lets everything that is started later put its temporary files there. SIGINT and SIGTERM
 * stop everything and end the process with the usual codes.
 */
export function createWorkspace(): Workspace {
  const directory = mkdtempSync(join(tmpdir(), "llm-gateway-bench-"));
  // PostgreSQL may run as a user of its own, who must get to its files.
  chmodSync(directory, 0o755);
  process.env.TMPDIR = directory;
  const stops: (() => Promise<unknown>)[] = [];
  const undoes: (() => void)[] = [];
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  const close = async () => {
    for (let stop = stops.pop(); stop; stop = stops.pop()) {
      // What cannot be stopped must not keep the rest from being stopped.
      await stop().catch((error: unknown) => console.error(error));
    }
    remove();
  };
  const undoAll = () => {
    for (let undo = undoes.pop(); undo; undo = undoes.pop()) undo();
  };
  const closeAndExit = (code: number) => {
    // Nothing of an unfinished run is worth a graceful end, which could take long: the database ends by itself.
    undoAll();
    close().then(
      () => process.exit(code),
      () => process.exit(code),
    );
  };
  process.on("SIGINT", () => closeAndExit(130));
  process.on("SIGTERM", () => closeAndExit(143));
  process.on("exit", () => {
    undoAll();
    remove();
  });
  return {
    directory,
    atEnd: (stop) => void stops.push(stop),
    atExit: (undo) => void undoes.push(undo),
    close,
  };
}
