import { afterAll, beforeAll } from "vitest";
import type { Database } from "../../src/db/database.ts";
import { openDatabase } from "../../src/db/open-database.ts";
import { keyEntities } from "../../src/keys/entities.ts";
import { createKeyStore } from "../../src/keys/key-store.ts";
import { describeKeyStore } from "../suites/key-store.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";

let postgres: TestPostgres;
let database: Database;
beforeAll(async () => {
  postgres = await startPostgres();
  database = await openDatabase({ url: await postgres.createDatabase(), entities: keyEntities });
});
afterAll(async () => {
  await database?.close();
  await postgres?.close();
});

describeKeyStore("PostgreSQL", () => createKeyStore(database));
