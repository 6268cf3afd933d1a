import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, startChild } from "./child-process.ts";
import { readObject } from "./json-call.ts";
import type { Server } from "./targets.ts";
import type { Workspace } from "./workspace.ts";

/** The gateway as a process of its own, and a key to call it with. */
export interface MeasuredGateway extends Server {
  readonly child: Child;
  readonly url: string;
  readonly apiKeyId: string;
  readonly adminKey: string;
}

export interface GatewayOptions {
  /** Put before the command, to give it a core. */
  readonly prefix: readonly string[];
  /** PostgreSQL; undefined for the embedded database. */
  readonly databaseUrl: string | undefined;
  readonly upstreamUrl: string;
  /** Price overrides of the configuration file. */
  readonly prices: readonly unknown[];
  /** Where to write a CPU profile when it ends; undefined for none. */
  readonly profileDirectory: string | undefined;
}

const ROOT = join(import.meta.dirname, "..");

/** The flags and the program that `npm start` gives to Node. */
function startArguments(): readonly string[] {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly scripts: { readonly start: string };
  };
  const [, ...args] = scripts.start.split(" ");
  return args.map((argument) => (argument.startsWith("-") ? argument : join(ROOT, argument)));
}

/**
 * Starts it as one does in production: authentication, limits, ledger, metrics and a log line for each request on.
 */
export async function startMeasuredGateway(
  workspace: Workspace,
  options: GatewayOptions,
): Promise<MeasuredGateway> {
  const adminKey = randomBytes(32).toString("hex");
  // JSON is YAML.
  const configFile = join(workspace.directory, "gateway.yaml");
  writeFileSync(configFile, JSON.stringify({ prices: options.prices }));
  const child = await startChild(workspace, {
    name: "gateway",
    command: [
      ...options.prefix,
      process.execPath,
      ...profilerFlags(options.profileDirectory),
      ...startArguments(),
    ],
    env: {
      HOST: "127.0.0.1",
      PORT: "0",
      DATA_DIR: join(workspace.directory, "gateway-data"),
      CONFIG_FILE: configFile,
      ADMIN_KEY: adminKey,
      KEY_PEPPER: randomBytes(32).toString("hex"),
      OPENAI_API_KEY: "sk-bench",
      OPENAI_BASE_URL: `${options.upstreamUrl}/openai/v1`,
      ...(options.databaseUrl !== undefined && { DATABASE_URL: options.databaseUrl }),
    },
    ready: /listening on (http:\/\/[^\s"]+)/,
  });
  const url = (child.match[1] ?? "").replace(/\/$/, "");
  const { apiKeyId, secret } = await createKey(url, adminKey);
  return { child, url, grpcOrigin: url, connectOrigin: url, apiKey: secret, apiKeyId, adminKey };
}

const profilerFlags = (directory: string | undefined): readonly string[] =>
  directory === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${directory}`];

/** A key with limits that are checked on every call and never reached. */
async function createKey(url: string, adminKey: string): Promise<{ apiKeyId: string; secret: string }> {
  const answer = await readObject(`${url}/llmgateway.v1.KeyService/CreateKey`, {
    apiKey: adminKey,
    body: {
      key: {
        displayName: "bench",
        roles: ["KEY_ROLE_INVOKE"],
        limits: { requestsPerMinute: 10_000_000, tokensPerMinute: "2000000000", maxConcurrent: 100_000 },
      },
    },
  });
  const { key, secret } = answer as { readonly key: { readonly apiKeyId: string }; readonly secret: string };
  return { apiKeyId: key.apiKeyId, secret };
}
