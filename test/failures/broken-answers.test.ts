import { BROKEN_ANSWERS } from "./cases/broken-answers.ts";
import { describeFaults } from "./describe-faults.ts";

describeFaults(BROKEN_ANSWERS);
