import { describeLedger } from "../suites/ledger-suite.ts";
import { describeMonths } from "../suites/months-suite.ts";
import { createPgliteSource } from "../support/databases.ts";

const source = createPgliteSource();

describeLedger("the embedded database", () => source);
describeMonths("the embedded database", () => source);
