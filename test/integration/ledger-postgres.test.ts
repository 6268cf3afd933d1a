import { afterAll, beforeAll } from "vitest";
import { openDatabase } from "../../src/db/open-database.ts";
import { describeCorrections } from "../suites/correction-suite.ts";
import { describeLedger } from "../suites/ledger-suite.ts";
import { describeMonths } from "../suites/months-suite.ts";
import { describeVerification } from "../suites/verification-suite.ts";
import { allEntities } from "../support/databases.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.close());

const source = {
  open: async () => openDatabase({ url: await postgres.createDatabase(), entities: allEntities }),
};
describeLedger("PostgreSQL", () => source);
describeMonths("PostgreSQL", () => source);
describeCorrections("PostgreSQL", () => source);
describeVerification("PostgreSQL", () => source);
