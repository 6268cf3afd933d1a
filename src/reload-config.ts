import { isDeepStrictEqual } from "node:util";
import type { App } from "./app.ts";
import { type Config, ConfigError } from "./config/config.ts";

/** What `App.reload` takes over; `demo` only says where the providers came from. */
const RELOADABLE: ReadonlySet<string> = new Set<keyof Config>([
  "providers",
  "aliases",
  "defaultChain",
  "disabled",
  "prices",
  "contextWindows",
  "demo",
]);

/**
 * Reads the configuration again and applies what can be applied; a mistake changes nothing. Either way one log line
 * says what happened: which settings differ but need a restart, or what is wrong.
 * @param started the configuration that the process runs with
 * @param load reads it again. @throws ConfigError
 */
export async function reloadConfig(
  app: Pick<App, "reload" | "telemetry">,
  started: Config,
  load: () => Config,
): Promise<void> {
  try {
    const next = load();
    await app.reload(next);
    app.telemetry.configReloaded({ needRestart: changedSettings(started, next) });
  } catch (error) {
    app.telemetry.configRefused(error, error instanceof ConfigError ? error.issues : []);
  }
}

function changedSettings(started: Config, next: Config): readonly string[] {
  return Object.entries(next)
    .filter(([name]) => !RELOADABLE.has(name))
    .filter(([name, value]) => !isDeepStrictEqual(value, Reflect.get(started, name)))
    .map(([name]) => name);
}
