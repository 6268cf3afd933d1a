import { parentPort, workerData } from "node:worker_threads";
import { openJournalStore } from "./journal-store.ts";
import { type JournalThreadOptions, serveJournal } from "./serve-journal.ts";

/** The program of the journal's thread. */
if (parentPort) serveJournal(parentPort, workerData as JournalThreadOptions, openJournalStore);
