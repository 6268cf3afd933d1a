import { createServer as createHttp1Server, type Server } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { Health } from "../../gen/es/grpc/health/v1/health_pb.ts";
import { CompletionService } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { EmbeddingService } from "../../gen/es/llmgateway/v1/embedding_pb.ts";
import { KeyService } from "../../gen/es/llmgateway/v1/key_pb.ts";
import { ModelService } from "../../gen/es/llmgateway/v1/model_pb.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { CostAdjuster } from "../../src/core/cost-adjustment.ts";
import { GatewayError } from "../../src/core/errors.ts";
import type { AttemptReport, CompletionResult, Gateway } from "../../src/core/gateway.ts";
import type { KeyService as KeyServicePort, Principal, Role } from "../../src/core/keys.ts";
import type { CostReader } from "../../src/core/ledger.ts";
import type { LedgerVerifier } from "../../src/core/ledger-check.ts";
import type { RequestEnd, RequestStart, Telemetry } from "../../src/core/telemetry.ts";
import { createCostRoutes } from "../../src/server/cost-routes.ts";
import { completionMethods } from "../../src/server/handlers/completion.ts";
import { costMethods } from "../../src/server/handlers/cost.ts";
import { embeddingMethods } from "../../src/server/handlers/embedding.ts";
import { type HealthSource, healthMethods } from "../../src/server/handlers/health.ts";
import { keyMethods } from "../../src/server/handlers/key.ts";
import { modelMethods } from "../../src/server/handlers/model.ts";
import { reflectionMethods } from "../../src/server/handlers/reflection.ts";
import type { NodeHandler } from "../../src/server/node-exchange.ts";
import { createRpcHandler, DEFAULT_RPC_LIMITS, type RpcLimits } from "../../src/server/rpc-handler.ts";

const SERVICES = [CompletionService, EmbeddingService, CostService, KeyService, ModelService];

/** Secrets that the fake authenticator knows, and what their keys may do. */
export const TEST_KEYS: Readonly<Record<string, Principal>> = {
  "invoke-secret": testPrincipal("k_invoke", ["invoke"], { team: "search", stage: "prod" }),
  "costs-secret": testPrincipal("k_costs", ["read_costs"]),
  "keys-secret": testPrincipal("k_keys", ["manage_keys"]),
  "admin-secret": testPrincipal("admin", ["admin"]),
  "nothing-secret": testPrincipal("k_nothing", []),
};

function testPrincipal(
  apiKeyId: string,
  roles: readonly Role[],
  tags: Record<string, string> = {},
): Principal {
  const limits = { requestsPerMinute: undefined, tokensPerMinute: undefined, maxConcurrent: undefined };
  return { apiKeyId, roles, allowedModels: [], limits, tags };
}

export interface RpcServerOptions {
  readonly gateway?: Partial<Gateway>;
  readonly costs?: Partial<CostReader>;
  readonly adjuster?: Partial<CostAdjuster>;
  readonly verifier?: Partial<LedgerVerifier>;
  readonly keys?: Partial<KeyServicePort>;
  readonly health?: HealthSource;
  readonly limits?: Partial<RpcLimits>;
  readonly shutdown?: AbortSignal;
  readonly direct?: boolean;
}

export interface RecordedRequest {
  readonly start: RequestStart;
  apiKeyId: string;
  readonly ends: RequestEnd[];
}

export interface TestRpcServer {
  readonly http1Url: string;
  readonly http2Url: string;
  readonly http2Port: number;
  readonly http1Port: number;
  readonly requests: RecordedRequest[];
  close(): Promise<void>;
}

/** The RPC layer behind real servers, one for HTTP/1.1 and one for HTTP/2 without TLS, with fakes for the rest. */
export async function startRpcServer(options: RpcServerOptions = {}): Promise<TestRpcServer> {
  const requests: RecordedRequest[] = [];
  const telemetry = recordingTelemetry(requests);
  const authenticator = {
    async authenticate(secret: string | undefined): Promise<Principal> {
      const principal = secret === undefined ? undefined : TEST_KEYS[secret];
      if (!principal) throw new GatewayError("UNAUTHENTICATED", "no valid API key was sent");
      return principal;
    },
  };
  const gateway = { ...answeringGateway(), ...options.gateway };
  const costs = { ...unused("costs", ["query", "listRecords"]), ...options.costs } as CostReader;
  const adjuster = { ...unused("adjuster", ["adjust"]), ...options.adjuster } as CostAdjuster;
  const verifier = { ...unused("verifier", ["verify"]), ...options.verifier } as LedgerVerifier;
  const keyNames = ["create", "get", "list", "update", "rotate", "revoke"];
  const keys = { ...unused("keys", keyNames), ...options.keys } as KeyServicePort;
  const { shutdown } = options;
  const rpc = createRpcHandler({
    methods: [
      ...completionMethods(gateway),
      ...embeddingMethods(gateway),
      ...costMethods({ costs, adjuster, verifier, clock: systemClock }),
      ...keyMethods(keys),
      ...modelMethods(gateway),
      ...healthMethods({
        source: options.health ?? { serving: true, onChange: () => () => {} },
        services: SERVICES.map(({ typeName }) => typeName),
        shutdown,
      }),
      ...reflectionMethods({ services: [...SERVICES, Health], shutdown }),
    ],
    authenticator,
    telemetry,
    clock: systemClock,
    limits: { ...DEFAULT_RPC_LIMITS, ...options.limits },
    direct: options.direct ?? true,
  });
  const costRoutes = createCostRoutes({ authenticator, costs, telemetry, clock: systemClock });
  const handler: NodeHandler = (request, response) =>
    (costRoutes.get(request.url?.split("?")[0] ?? "") ?? rpc)(request, response);
  const http1 = createHttp1Server(handler);
  const http2 = createHttp2Server(handler);
  const sessions = new Set<ServerHttp2Session>();
  http2.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  const [http1Port, http2Port] = await Promise.all([listen(http1), listen(http2)]);
  return {
    http1Url: `http://127.0.0.1:${http1Port}`,
    http2Url: `http://127.0.0.1:${http2Port}`,
    http1Port,
    http2Port,
    requests,
    async close() {
      for (const session of sessions) session.destroy();
      http1.closeAllConnections();
      await Promise.all([closed(http1), closed(http2)]);
    },
  };
}

/** One attempt that succeeded, with numbers that tests recognise. */
export function attemptReport(changes: Partial<AttemptReport> = {}): AttemptReport {
  return {
    attemptId: "0190a0a0-0000-7000-8000-000000000001",
    ordinal: 1,
    provider: "openai",
    model: "gpt-5-mini",
    outcome: "succeeded",
    errorReason: undefined,
    latencyMs: 12.5,
    usage: {
      tokensIn: 12,
      tokensOut: 7,
      uncachedTokensIn: 10,
      cacheReadTokensIn: 2,
      cacheWriteTokensIn: undefined,
      textTokensOut: 7,
      reasoningTokensOut: 0,
    },
    usageSource: "reported",
    costPicoUsd: 123_450_000n,
    priceId: "price-1",
    billingState: "settled",
    ...changes,
  };
}

/** The answer of the fake gateway. */
export function completionResult(text: string, attempts = [attemptReport()]): CompletionResult {
  const last = attempts.at(-1) ?? attemptReport();
  const message = { role: "assistant", name: undefined, parts: [{ kind: "text", text }] } as const;
  return {
    provider: last.provider,
    model: last.model,
    choices: [{ index: 0, message, finishReason: "stop" }],
    attempts,
    replayed: false,
  };
}

function answeringGateway(): Gateway {
  return {
    complete: async () => completionResult("hello"),
    embed: () => Promise.reject(new Error("not expected")),
    async stream(_call, sink) {
      sink.started("openai", "gpt-5-mini");
      await sink.deltas([{ kind: "text", choiceIndex: 0, text: "hel" }]);
      await sink.deltas([{ kind: "text", choiceIndex: 0, text: "lo" }]);
      return {
        provider: "openai",
        model: "gpt-5-mini",
        finishReasons: [{ choiceIndex: 0, finishReason: "stop" }],
        attempts: [attemptReport()],
        replayed: false,
      };
    },
    models: () => [],
  };
}

function recordingTelemetry(requests: RecordedRequest[]): Telemetry {
  return {
    breakerChanged() {},
    ledgerWriteFailed() {},
    requestStarted(start) {
      const request: RecordedRequest = { start, apiKeyId: "", ends: [] };
      requests.push(request);
      return {
        traceId: "0".repeat(32),
        authenticated(apiKeyId) {
          request.apiKeyId = apiKeyId;
        },
        attemptStarted: () => ({ traceHeaders: {}, firstToken() {}, finished() {}, drained() {} }),
        retryScheduled() {},
        fellBack() {},
        hedged() {},
        rateLimited() {},
        replayed() {},
        ledgerWriteStarted: () => () => {},
        finished(end) {
          request.ends.push(end);
        },
      };
    },
  };
}

function unused(port: string, names: readonly string[]): Record<string, () => Promise<never>> {
  const fail = (name: string) => async () => {
    throw new Error(`${port}.${name} was not expected`);
  };
  return Object.fromEntries(names.map((name) => [name, fail(name)]));
}

function listen(server: Server | Http2Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

function closed(server: Server | Http2Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
