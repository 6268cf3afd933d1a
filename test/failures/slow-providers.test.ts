import { SLOW_PROVIDERS } from "./cases/slow-providers.ts";
import { describeFaults } from "./describe-faults.ts";

describeFaults(SLOW_PROVIDERS);
