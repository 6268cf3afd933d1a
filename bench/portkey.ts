import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createJsonReader, createSseReader } from "./answer-readers.ts";
import { type Child, startChild } from "./child-process.ts";
import { createHttpTarget } from "./http-target.ts";
import { DIRECT_PERSONALITY, directJson, type Workload } from "./requests.ts";
import type { Target } from "./target.ts";
import type { Workspace } from "./workspace.ts";

/** The gateway of Portkey, an open-source peer in TypeScript, as its package comes. */
export interface Portkey {
  readonly child: Child;
  readonly origin: string;
  /** Where it is told to send the calls. */
  readonly upstreamUrl: string;
}

const INSTALL_TIMEOUT_MS = 180_000;

/**
 * Installs it beside the repository, with the versions of its dependencies that its streams work with, and starts it.
 * It keeps no accounts; it routes, retries and translates.
 * @throws Error when it cannot be installed: that takes the registry
 */
export async function startPortkey(
  workspace: Workspace,
  options: { readonly prefix: readonly string[]; readonly upstreamUrl: string },
): Promise<Portkey> {
  const directory = join(workspace.directory, "portkey");
  cpSync(join(import.meta.dirname, "portkey"), directory, { recursive: true });
  const installed = spawnSync("npm", ["ci"], {
    cwd: directory,
    timeout: INSTALL_TIMEOUT_MS,
    encoding: "utf8",
  });
  if (installed.status !== 0) throw new Error(`Portkey cannot be installed: ${installed.stderr}`);
  const port = await freePort();
  const entry = join(directory, "node_modules/@portkey-ai/gateway/build/start-server.js");
  const child = await startChild(workspace, {
    name: "portkey",
    command: [...options.prefix, process.execPath, entry, `--port=${port}`, "--headless"],
    env: { NODE_ENV: "production" },
    ready: /Ready for connections/,
  });
  return {
    child,
    origin: `http://127.0.0.1:${port}`,
    upstreamUrl: `${options.upstreamUrl}/${DIRECT_PERSONALITY}/v1`,
  };
}

/** It takes no port 0. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** The calls that the OpenAI-compatible API gets, with Portkey's headers. */
export function createPortkeyTarget(
  portkey: Portkey,
  load: { readonly workload: Workload; readonly inFlight: number; readonly stream: boolean },
): Target {
  return createHttpTarget({
    origin: portkey.origin,
    path: "/v1/chat/completions",
    headers: {
      authorization: "Bearer sk-bench",
      "content-type": "application/json",
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": portkey.upstreamUrl,
    },
    body: directJson(load.workload, load.stream),
    connections: load.inFlight,
    createReader: load.stream ? createSseReader : createJsonReader,
  });
}
