import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { openJournalStore } from "../../src/ledger/journal-store.ts";
import { type JournalThreadOptions, serveJournal } from "../../src/ledger/serve-journal.ts";

/** While a file of this name lies beside the journal, every fsync fails: what was written is there, but not for sure. */
export const FSYNC_FAILS = "fsync-fails";

/** The program of a journal's thread on a disk whose fsync can fail. */
const failFsync = (file: string): void => {
  if (existsSync(join(dirname(file), FSYNC_FAILS))) {
    throw Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" });
  }
};

if (parentPort) {
  serveJournal(parentPort, workerData as JournalThreadOptions, (options) => {
    const store = openJournalStore(options);
    return {
      ...store,
      commit(batch) {
        const done = store.commit(batch);
        failFsync(options.file);
        return done;
      },
      probe() {
        const hasRoom = store.probe();
        failFsync(options.file);
        return hasRoom;
      },
    };
  });
}
