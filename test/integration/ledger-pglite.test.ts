import { describeCorrections } from "../suites/correction-suite.ts";
import { describeLedger } from "../suites/ledger-suite.ts";
import { describeMonths } from "../suites/months-suite.ts";
import { describeVerification } from "../suites/verification-suite.ts";
import { createPgliteSource } from "../support/databases.ts";

const source = createPgliteSource();

describeLedger("the embedded database", () => source);
describeMonths("the embedded database", () => source);
describeCorrections("the embedded database", () => source);
describeVerification("the embedded database", () => source);
