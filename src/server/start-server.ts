import { readFile } from "node:fs/promises";
import { Health } from "../../gen/es/grpc/health/v1/health_pb.ts";
import { CompletionService } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { EmbeddingService } from "../../gen/es/llmgateway/v1/embedding_pb.ts";
import { KeyService as KeyServiceDescriptor } from "../../gen/es/llmgateway/v1/key_pb.ts";
import { ModelService } from "../../gen/es/llmgateway/v1/model_pb.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import type { CostAdjuster } from "../core/cost-adjustment.ts";
import type { Gateway } from "../core/gateway.ts";
import type { Authenticator, KeyService } from "../core/keys.ts";
import type { CostReader } from "../core/ledger.ts";
import type { LedgerVerifier } from "../core/ledger-check.ts";
import type { Telemetry } from "../core/telemetry.ts";
import { DEFAULT_MAX_BODY_BYTES } from "./compatible/compatible-dependencies.ts";
import { createHeldBytes, MAX_HELD_BYTES_OF_PROCESS } from "./compatible/held-bytes.ts";
import { createCompatibleRoutes } from "./compatible-routes.ts";
import { createCostRoutes } from "./cost-routes.ts";
import { createCors } from "./edge/cors.ts";
import { createDocumentation } from "./edge/documentation.ts";
import type { Handler } from "./edge/handler.ts";
import { createHttpRoutes } from "./edge/http-routes.ts";
import { createInFlightCap } from "./edge/in-flight-cap.ts";
import { DEFAULT_SERVER_LIMITS } from "./edge/limits.ts";
import { type Listener, listen } from "./edge/listener.ts";
import { completionMethods } from "./handlers/completion.ts";
import { costMethods } from "./handlers/cost.ts";
import { embeddingMethods } from "./handlers/embedding.ts";
import { healthMethods } from "./handlers/health.ts";
import { keyMethods } from "./handlers/key.ts";
import { modelMethods } from "./handlers/model.ts";
import { reflectionMethods } from "./handlers/reflection.ts";
import { createRpcHandler, DEFAULT_RPC_LIMITS } from "./rpc-handler.ts";

/** What the server serves, and what it asks about the rest of the process. */
export interface ServerParts {
  readonly version: string;
  readonly clock: Clock;
  readonly telemetry: Telemetry & {
    metricsText(accept: string | undefined): Promise<{ readonly contentType: string; readonly body: string }>;
    readonly log: { warn(event: string, fields?: Readonly<Record<string, string>>, error?: unknown): void };
  };
  readonly authenticator: Authenticator;
  readonly gateway: Gateway;
  readonly keys: KeyService;
  readonly costs: CostReader;
  readonly adjuster: CostAdjuster;
  readonly verifier: LedgerVerifier;
  readonly readiness: ReadinessSource;
}

export interface ReadinessSource {
  readonly ready: boolean;
  readonly draining: boolean;
  readonly databaseAnswers: boolean;
  readonly ledgerReady: boolean;
  onChange(listener: () => void): () => void;
}

export interface Server {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** No new calls; those in flight finish within the grace, the rest is cut off. */
  drain(graceMs: number): Promise<void>;
}

const SERVICES = [CompletionService, EmbeddingService, CostService, KeyServiceDescriptor, ModelService];

/** Serves everything on one port. */
export async function startServer(config: Config, parts: ServerParts): Promise<Server> {
  const shutdown = new AbortController();
  const listener = await listen({
    host: config.host,
    port: config.port,
    tls: await readTls(config),
    limits: DEFAULT_SERVER_LIMITS,
    handler: createRoutes(config, parts, createCalls(config, parts, shutdown.signal)),
    onConnectionError: (error) => parts.telemetry.log.warn("connection_error", {}, error),
  });
  return toServer(config, listener, shutdown);
}

function createCalls(config: Config, parts: ServerParts, shutdown: AbortSignal): Handler {
  const { readiness } = parts;
  return createRpcHandler({
    methods: [
      ...completionMethods(parts.gateway),
      ...embeddingMethods(parts.gateway),
      ...costMethods(parts),
      ...keyMethods(parts.keys),
      ...modelMethods(parts.gateway),
      ...healthMethods({
        source: {
          get serving() {
            return readiness.ready;
          },
          onChange: (listener) => readiness.onChange(listener),
        },
        services: SERVICES.map(({ typeName }) => typeName),
        shutdown,
      }),
      ...reflectionMethods({ services: [...SERVICES, Health], shutdown }),
    ],
    authenticator: parts.authenticator,
    telemetry: parts.telemetry,
    clock: parts.clock,
    limits: {
      ...DEFAULT_RPC_LIMITS,
      defaultTimeoutMs: config.deadlines.defaultMs,
      maxTimeoutMs: config.deadlines.maxMs,
    },
  });
}

function createRoutes(config: Config, parts: ServerParts, rpcHandler: Handler): Handler {
  const { readiness, telemetry } = parts;
  return createHttpRoutes({
    rpcHandler,
    jsonRoutes: createCostRoutes(parts),
    findCompatibleRoute: createCompatibleRoutes({
      ...parts,
      limits: {
        defaultTimeoutMs: config.deadlines.defaultMs,
        maxTimeoutMs: config.deadlines.maxMs,
        maxBodyBytes: DEFAULT_MAX_BODY_BYTES,
      },
      heldBytes: createHeldBytes({ max: MAX_HELD_BYTES_OF_PROCESS }),
    }),
    inFlightCap: createInFlightCap({ max: config.maxInFlight }),
    cors: createCors(config.corsOrigins),
    isRefusingCalls: () => readiness.draining,
    onError: (error) => telemetry.log.warn("plain_route_failed", {}, error),
    version: parts.version,
    health: () => ({
      ready: readiness.ready,
      draining: readiness.draining,
      checks: { database: readiness.databaseAnswers, ledger: readiness.ledgerReady },
    }),
    metricsText: (accept) => telemetry.metricsText(accept),
    metricsToken: config.metricsToken,
    documentation: createDocumentation(),
    uptimeMs: () => parts.clock.monotonicMs(),
  });
}

function toServer(config: Config, listener: Listener, shutdown: AbortController): Server {
  const { host, port } = listener.address;
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    url: `${config.tls ? "https" : "http"}://${name}:${port}`,
    host,
    port,
    async drain(graceMs) {
      shutdown.abort();
      await listener.drain(graceMs);
    },
  };
}

async function readTls({ tls }: Config) {
  if (!tls) return undefined;
  const { certFile, keyFile, clientCaFile } = tls;
  const [cert, key, clientCa] = await Promise.all([
    readFile(certFile),
    readFile(keyFile),
    clientCaFile === undefined ? undefined : readFile(clientCaFile),
  ]);
  return { cert, key, clientCa };
}
