import { REFUSALS } from "./cases/refusals.ts";
import { describeFaults } from "./describe-faults.ts";

describeFaults(REFUSALS);
