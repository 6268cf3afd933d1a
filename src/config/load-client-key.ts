import { ConfigError } from "./config.ts";
import { EnvironmentReader } from "./read-environment.ts";

/**
 * The key with which a command calls a running gateway: `ADMIN_KEY`, else `GATEWAY_KEY` (each also as `…_FILE`).
 * @throws ConfigError without either
 */
export function loadClientKey(variables: Readonly<Record<string, string | undefined>> = process.env): string {
  const environment = new EnvironmentReader(variables);
  const key = environment.secret("ADMIN_KEY") ?? environment.secret("GATEWAY_KEY");
  if (key !== undefined && environment.issues.length === 0) return key;
  throw new ConfigError(
    environment.issues.length > 0
      ? environment.issues
      : ["ADMIN_KEY or GATEWAY_KEY must be set to ask a gateway"],
  );
}
