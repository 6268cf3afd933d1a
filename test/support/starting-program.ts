import { join } from "node:path";
import { startGatewayProcess } from "./gateway-process.ts";
import { simulatedProviders } from "./gateway-under-test.ts";
import { startPostgres } from "./postgres.ts";
import { startSimulatorProcess } from "./simulator-process.ts";

/**
 * Stands in for a worker of the test runner: starts what tests start, with its files in the directory that it is given,
 * prints the URLs as an array of JSON, and stays until it is killed.
 */
const [directory = ""] = process.argv.slice(2);
const [simulator, postgres] = await Promise.all([
  startSimulatorProcess(join(directory, "bill")),
  startPostgres(),
]);
const gateway = await startGatewayProcess({
  dataDir: join(directory, "gateway"),
  env: simulatedProviders(simulator),
});
process.stdout.write(`${JSON.stringify([gateway.url, simulator.baseUrl("openai"), postgres.url])}\n`);
