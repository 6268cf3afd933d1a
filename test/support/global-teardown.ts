import { rmSync } from "node:fs";
import { templatePath } from "./data-directory.ts";

/** Vitest calls it when the run is over. */
export function teardown(): void {
  rmSync(templatePath(process.pid), { recursive: true, force: true });
}
