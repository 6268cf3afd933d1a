import { access } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "./config/config.ts";
import type { LedgerVerification, VerifiedInterval } from "./core/ledger-check.ts";
import { lockDataDirectory } from "./db/directory-lock.ts";
import { openDatabase } from "./db/open-database.ts";
import { keyEntities } from "./keys/entities.ts";
import { ledgerEntities } from "./ledger/entities.ts";
import { JOURNAL_FILE, openJournal } from "./ledger/journal.ts";
import { createLedgerVerifier } from "./ledger/verify-ledger.ts";

/**
 * Checks the books that this configuration names, while no gateway has them open.
 * @throws DirectoryInUseError when one has; Error when there are no books, or when they are those of another version
 */
export async function verifyOwnBooks(
  { database: { url, dataDir, poolSize } }: Config,
  interval: VerifiedInterval,
  { timeoutMs, note }: { readonly timeoutMs: number; readonly note: (text: string) => void },
): Promise<LedgerVerification> {
  if (url === undefined && !(await exists(join(dataDir, "db"))))
    throw new Error(`there are no books in ${dataDir}, and DATABASE_URL is not set`);
  // The embedded database takes the directory's lock itself. A directory that is not there is not made.
  const lock = url !== undefined && (await exists(dataDir)) ? await lockDataDirectory(dataDir) : undefined;
  try {
    const entities = [...ledgerEntities, ...keyEntities];
    const database = await openDatabase({ url, dataDir, poolSize, entities, migrate: false });
    try {
      const journal = await openExistingJournal(join(dataDir, "journal"), note);
      try {
        const view = journal && { shippedUpTo: undefined, read: journal.read };
        return await createLedgerVerifier(database, { journal: view }).verify(interval, timeoutMs);
      } finally {
        await journal?.close();
      }
    } finally {
      await database.close();
    }
  } finally {
    lock?.release();
  }
}

/** The file is opened and not written to: what the last process left open is the next gateway's to settle. */
async function openExistingJournal(directory: string, note: (text: string) => void) {
  if (!(await exists(join(directory, JOURNAL_FILE)))) {
    note(`There is no journal in ${directory}: only the database is checked.`);
    return undefined;
  }
  const journal = await openJournal({ directory });
  const open = journal.content.intents.length;
  if (open > 0)
    note(`${open} attempts were left open; the next start of the gateway settles them as unknown.`);
  return journal;
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
