import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startPostgres } from "../test/support/postgres.ts";
import { type Child, startChild } from "./child-process.ts";
import { type Cores, reserveCore } from "./cores.ts";
import { type MeasuredGateway, startMeasuredGateway } from "./measured-gateway.ts";
import type { BenchOptions } from "./options.ts";
import { type Portkey, startPortkey } from "./portkey.ts";
import { DIRECT_PERSONALITY, openStreamWorkload, STREAM, UNARY } from "./requests.ts";
import type { Server } from "./targets.ts";
import { startUpstream, type Upstream } from "./upstream.ts";
import type { Workspace } from "./workspace.ts";

/** Everything that a run needs, up and running. */
export interface Rig {
  readonly cores: Cores;
  readonly upstream: Upstream;
  readonly gateway: MeasuredGateway;
  readonly bare: Server & { readonly child: Child };
  /** Measured beside the OpenAI-compatible API, if that was asked for. */
  readonly portkey: Portkey | undefined;
  readonly profileDirectory: string | undefined;
}

/** Whatever it starts is stopped with the workspace. */
export async function startRig(workspace: Workspace, options: BenchOptions): Promise<Rig> {
  const cores = reserveCore();
  const profileDirectory = options.profile ? join(workspace.directory, "profile") : undefined;
  if (profileDirectory !== undefined) mkdirSync(profileDirectory);

  const upstream = await startUpstream(workspace);
  for (const workload of [UNARY, STREAM, openStreamWorkload(options.openStreamTokens)])
    await upstream.prepare(workload);
  const postgres = options.database === "postgres" ? await startPostgres() : undefined;
  if (postgres) workspace.atEnd(() => postgres.close());
  const gateway = await startMeasuredGateway(workspace, {
    prefix: cores.measuredPrefix,
    databaseUrl: await postgres?.createDatabase(),
    upstreamUrl: upstream.url,
    prices: await upstream.prices(),
    profileDirectory,
  });
  const bare = await startChild(workspace, {
    name: "bare-connect",
    command: [
      ...cores.measuredPrefix,
      process.execPath,
      join(import.meta.dirname, "bare-connect.ts"),
      `${upstream.url}/${DIRECT_PERSONALITY}/v1`,
    ],
    ready: /ready http2=(\d+) http1=(\d+)/,
  });
  const portkey = options.portkey
    ? await startPortkey(workspace, { prefix: cores.measuredPrefix, upstreamUrl: upstream.url })
    : undefined;
  return {
    cores,
    upstream,
    gateway,
    portkey,
    bare: {
      child: bare,
      grpcOrigin: `http://127.0.0.1:${bare.match[1]}`,
      connectOrigin: `http://127.0.0.1:${bare.match[2]}`,
      apiKey: "none",
    },
    profileDirectory,
  };
}
