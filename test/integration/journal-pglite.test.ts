import { describeJournal } from "../suites/journal-suite.ts";
import { createPgliteSource } from "../support/databases.ts";

const source = createPgliteSource();
describeJournal("the embedded database", () => source);
