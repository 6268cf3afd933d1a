import { Migrator } from "@mikro-orm/migrations";
import type { DriverOptions } from "./database.ts";
import { migrations } from "./migrations/index.ts";

/** The ORM's configuration that both drivers share. */
export function ormOptions(options: DriverOptions) {
  return {
    entities: [...options.entities],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    migrations: {
      migrationsList: migrations.map((migration) => ({ name: migration.name, class: migration })),
      snapshot: false,
      silent: true,
    },
    debug: false,
    colors: false,
    logger: options.onWarning,
  };
}
