/**
 * Preloaded into programs that `spawnProgram` starts: ends the process when the one that started it is gone, however
 * that ended, since only then the pipe between them closes. It keeps nothing alive.
 */
import { Socket } from "node:net";
import { isMainThread } from "node:worker_threads";

/** Where `spawnProgram` puts the pipe, behind the standard streams. */
const PARENT_FD = 3;

if (isMainThread) {
  const parent = new Socket({ fd: PARENT_FD });
  parent.once("close", () => process.kill(process.pid, "SIGKILL"));
  parent.on("error", () => {});
  parent.resume().unref();
}
