import { openDatabase } from "../../src/db/open-database.ts";
import { createDatabaseLedger } from "./database-ledger.ts";
import { allEntities } from "./databases.ts";
import { sampleOutcome } from "./ledger-samples.ts";

/**
 * A process of its own that opens the embedded database in the directory it is given, prints `open`, and then writes
 * attempts until it is killed, printing the id of each one that was acknowledged.
 */
const database = await openDatabase({ dataDir: process.argv[2], entities: allEntities });
process.stdout.write("open\n");
const ledger = createDatabaseLedger(database);
const writeForEver = async (): Promise<never> => {
  for (;;) {
    const outcome = sampleOutcome();
    await ledger.settle(outcome);
    process.stdout.write(`${outcome.intent.attemptId}\n`);
  }
};
await Promise.all(Array.from({ length: 16 }, writeForEver));
