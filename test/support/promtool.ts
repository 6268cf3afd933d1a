import { execFileSync, spawnSync } from "node:child_process";

/**
 * Is promtool here? On a developer's machine it may be missing; where CI is set it must not be.
 * @throws when it is missing in CI
 */
export function hasPromtool(): boolean {
  const found = spawnSync("promtool", ["--version"]).status === 0;
  if (!found && process.env.CI)
    throw new Error("promtool is not on PATH: install the Debian package prometheus");
  return found;
}

/** @throws with promtool's output when it finds fault */
export function promtool(args: readonly string[], input = ""): void {
  execFileSync("promtool", args, { input, stdio: ["pipe", "pipe", "pipe"] });
}
