import { afterAll, beforeAll, expect, it } from "vitest";
import type { Database } from "../../src/db/database.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { keyEntities } from "../../src/keys/entities.ts";
import { createKeyStore } from "../../src/keys/key-store.ts";
import { describeKeyStore } from "../suites/key-store.ts";

let database: Database;
beforeAll(async () => {
  database = await openDatabase({ entities: keyEntities });
});
afterAll(async () => {
  await database.close();
});

describeKeyStore("PGlite", () => createKeyStore(database));

it("says that the key store is unavailable when the database is closed", async () => {
  const closed = await openDatabase({ entities: keyEntities });
  const store = createKeyStore(closed);
  await closed.close();
  await expect(store.find("k_000000000000")).rejects.toMatchObject({ reason: "LEDGER_UNAVAILABLE" });
});
