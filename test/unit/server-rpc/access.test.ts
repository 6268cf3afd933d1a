import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Health } from "../../../gen/es/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/es/grpc/reflection/v1/reflection_pb.ts";
import { CompletionService } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { CostService } from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import { EmbeddingService } from "../../../gen/es/llmgateway/v1/embedding_pb.ts";
import { KeyService } from "../../../gen/es/llmgateway/v1/key_pb.ts";
import { ModelService } from "../../../gen/es/llmgateway/v1/model_pb.ts";
import { presentedSecret } from "../../../src/server/rpc/credentials.ts";
import { accessOf, authorize } from "../../../src/server/rpc/method-access.ts";
import { connectWire, envelope, errorInfoOf, type WireClient } from "../../support/grpc-wire.ts";
import { startRpcServer, TEST_KEYS, type TestRpcServer } from "../../support/rpc-server.ts";

const SERVICES: readonly DescService[] = [
  CompletionService,
  EmbeddingService,
  CostService,
  KeyService,
  ModelService,
];
const METHODS: readonly DescMethod[] = SERVICES.flatMap((service) => service.methods);

test("every method of the gateway declares who may call it", () => {
  for (const method of METHODS) {
    const access = accessOf(method);
    if (access === "public") throw new Error(`${method.name} is public`);
    expect(access.anyOf.length, method.name).toBeGreaterThan(0);
  }
});

test("a method that declares nothing can be called by nobody, not even the administrator", () => {
  const undeclared: DescMethod = {
    ...CompletionService.method.complete,
    proto: { ...CompletionService.method.complete.proto, options: create(MethodOptionsSchema) },
  };
  const admin = TEST_KEYS["admin-secret"];
  if (!admin) throw new Error("no administrator");
  expect(() => authorize(admin, accessOf(undeclared))).toThrow("lacks the role");
});

test("health and reflection are public", () => {
  expect(accessOf(Health.method.check)).toBe("public");
  expect(accessOf(ServerReflection.method.serverReflectionInfo)).toBe("public");
});

describe("by role", () => {
  let server: TestRpcServer;
  let wire: WireClient;
  beforeAll(async () => {
    server = await startRpcServer();
    wire = connectWire(server.http2Url);
  });
  afterAll(async () => {
    wire.close();
    await server.close();
  });

  const ALLOWED: Readonly<Record<string, readonly string[]>> = {
    "invoke-secret": [
      "CompletionService",
      "EmbeddingService",
      "CostService/CostQuery",
      "CostService/ListCostRecords",
      "ModelService",
    ],
    "costs-secret": ["CostService/CostQuery", "CostService/ListCostRecords", "CostService/VerifyLedger"],
    "keys-secret": ["KeyService"],
    "admin-secret": ["CompletionService", "EmbeddingService", "CostService", "KeyService", "ModelService"],
    "nothing-secret": [],
  };

  test.each(Object.entries(ALLOWED))(
    "a key with %s may call what its roles allow, and nothing else",
    async (secret, allowed) => {
      for (const method of METHODS) {
        const path = `/${method.parent.typeName}/${method.name}`;
        // Empty messages: those that may be called fail later, or succeed.
        const answer = await wire.call(path, envelope(new Uint8Array()), {
          authorization: `Bearer ${secret}`,
        });
        const denied = errorInfoOf(answer)?.reason === "PERMISSION_DENIED";
        const names = [method.parent.name, `${method.parent.name}/${method.name}`];
        expect(denied, path).toBe(!names.some((name) => allowed.includes(name)));
      }
    },
  );

  test("a call with a wrong, a foreign or no credential is refused", async () => {
    const path = "/llmgateway.v1.ModelService/ListModels";
    const refused: readonly Record<string, string>[] = [
      { authorization: "Bearer nobody" },
      { authorization: "Basic aW52b2tlLXNlY3JldA==" },
      { authorization: "invoke-secret" },
      { authorization: "Bearer invoke-secret", "x-api-key": "admin-secret" },
    ];
    for (const headers of refused) {
      const answer = await wire.call(path, envelope(new Uint8Array()), headers);
      expect(answer.grpcStatus).toBe(16);
      expect(errorInfoOf(answer)?.reason).toBe("UNAUTHENTICATED");
    }
  });
});

describe("the presented secret", () => {
  const read = (...rawHeaders: string[]) => {
    const headers: Record<string, string> = {};
    for (let index = 0; index < rawHeaders.length; index += 2)
      headers[(rawHeaders[index] ?? "").toLowerCase()] ??= rawHeaders[index + 1] ?? "";
    return presentedSecret(headers, rawHeaders);
  };

  test("comes from either header, or both when they agree", () => {
    expect(read("Authorization", "Bearer s1")).toBe("s1");
    expect(read("authorization", "bearer  s1")).toBe("s1");
    expect(read("X-Api-Key", "s1")).toBe("s1");
    expect(read("authorization", "Bearer s1", "x-api-key", "s1")).toBe("s1");
    expect(read()).toBeUndefined();
    expect(read("authorization", "Basic s1")).toBeUndefined();
  });

  test("is refused when there is more than one", () => {
    expect(() => read("authorization", "Bearer s1", "x-api-key", "s2")).toThrow("more than one credential");
    expect(() => read("authorization", "Bearer s1", "Authorization", "Bearer s2")).toThrow("more than one");
    expect(() => read("x-api-key", "s1", "X-API-Key", "s1")).toThrow("more than one credential");
  });
});
