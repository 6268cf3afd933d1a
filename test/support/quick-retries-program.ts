import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/load-config.ts";

/**
 * The gateway as `src/main.ts` starts it, but for two things that would make a table of failures slow and dependent on
 * its order: it waits 20 ms where the gateway waits 500 before a retry, and its retry budget does not run out.
 */
export const QUICK_BACKOFF = { baseMs: 20, maxMs: 10_000 };

if (import.meta.main) {
  const app = await startApp(loadConfig(), {
    backoff: QUICK_BACKOFF,
    retryBudget: { earn: () => {}, spend: () => true },
  });
  process.once("SIGTERM", () => {
    void app.shutdown().then(() => process.exit(0));
  });
  process.stdout.write(`llm-gateway listening on ${app.url}\n`);
}
