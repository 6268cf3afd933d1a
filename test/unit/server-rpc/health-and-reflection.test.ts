import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/es/grpc/health/v1/health_pb.ts";
import * as v1 from "../../../gen/es/grpc/reflection/v1/reflection_pb.ts";
import * as v1alpha from "../../../gen/es/grpc/reflection/v1alpha/reflection_pb.ts";
import { startRpcServer, type TestRpcServer } from "../../support/rpc-server.ts";

const run = promisify(execFile);

let server: TestRpcServer;
const listeners = new Set<() => void>();
const source = {
  serving: true,
  onChange(listener: () => void) {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  },
};
const becomeServing = (serving: boolean) => {
  source.serving = serving;
  for (const listener of listeners) listener();
};
const shutdown = new AbortController();

beforeAll(async () => {
  server = await startRpcServer({ health: source, shutdown: shutdown.signal });
});
afterAll(() => server.close());

describe("health", () => {
  const client = () => createClient(Health, createGrpcTransport({ baseUrl: server.http2Url }));

  test("answers without a key for the server and for each service, and reports nothing to telemetry", async () => {
    for (const service of ["", "llmgateway.v1.CompletionService"])
      expect((await client().check({ service })).status).toBe(Status.SERVING);
    const { statuses } = await client().list({});
    expect(Object.keys(statuses).sort()).toEqual([
      "",
      "llmgateway.v1.CompletionService",
      "llmgateway.v1.CostService",
      "llmgateway.v1.EmbeddingService",
      "llmgateway.v1.KeyService",
      "llmgateway.v1.ModelService",
    ]);
    expect(server.requests).toEqual([]);
  });

  test("does not know other services", async () => {
    const error = await client()
      .check({ service: "nope" })
      .catch((thrown: unknown) => ConnectError.from(thrown));
    expect(error).toMatchObject({ code: Code.NotFound });
    const watch = client().watch({ service: "nope" })[Symbol.asyncIterator]();
    expect((await watch.next()).value).toMatchObject({ status: Status.SERVICE_UNKNOWN });
  });

  test("watches tell each change until the caller leaves", async () => {
    const leaving = new AbortController();
    const watch = client().watch({}, { signal: leaving.signal })[Symbol.asyncIterator]();
    const next = async () => (await watch.next()).value?.status;
    expect(await next()).toBe(Status.SERVING);
    becomeServing(false);
    expect(await next()).toBe(Status.NOT_SERVING);
    becomeServing(true);
    expect(await next()).toBe(Status.SERVING);
    leaving.abort();
    await watch.next().catch(() => {});
    await expect.poll(() => listeners.size).toBe(0);
  });
});

describe("reflection", () => {
  async function* once<T>(value: T): AsyncIterable<T> {
    yield value;
  }

  function importsFirst(protos: readonly FileDescriptorProto[]): FileDescriptorProto[] {
    const sorted = new Map<string, FileDescriptorProto>();
    const add = (proto: FileDescriptorProto) => {
      for (const other of protos)
        if (proto.dependency.includes(other.name) && !sorted.has(other.name)) add(other);
      sorted.set(proto.name, proto);
    };
    protos.forEach(add);
    return [...sorted.values()];
  }

  test.each([
    ["v1", () => v1.ServerReflection],
    ["v1alpha", () => v1alpha.ServerReflection as unknown as typeof v1.ServerReflection],
  ])("%s lists the services and gives files that are complete", async (_version, service) => {
    const client = createClient(service(), createGrpcTransport({ baseUrl: server.http2Url }));
    const ask = async (messageRequest: v1.ServerReflectionRequest["messageRequest"]) => {
      for await (const { messageResponse } of client.serverReflectionInfo(
        once({ host: "h", messageRequest } as v1.ServerReflectionRequest),
      ))
        return messageResponse;
      throw new Error("no answer");
    };
    const list = await ask({ case: "listServices", value: "" });
    if (list.case !== "listServicesResponse") throw new Error(`unexpected ${list.case}`);
    const names = list.value.service.map(({ name }) => name);
    expect(names).toContain("llmgateway.v1.CostService");
    expect(names).toContain("grpc.health.v1.Health");
    expect(names).toContain("grpc.reflection.v1alpha.ServerReflection");
    for (const symbol of [
      ...names,
      "llmgateway.v1.CompleteRequest",
      "llmgateway.v1.CompletionService.Complete",
    ]) {
      const files = await ask({ case: "fileContainingSymbol", value: symbol });
      if (files.case !== "fileDescriptorResponse") throw new Error(`no file for ${symbol}`);
      const protos = files.value.fileDescriptorProto.map((bytes) =>
        fromBinary(FileDescriptorProtoSchema, bytes),
      );
      // Throws when an import is missing.
      createFileRegistry(create(FileDescriptorSetSchema, { file: importsFirst(protos) }));
    }
    expect(await ask({ case: "fileByFilename", value: "buf/validate/validate.proto" })).toMatchObject({
      case: "fileDescriptorResponse",
    });
    expect(
      await ask({ case: "allExtensionNumbersOfType", value: "google.protobuf.MethodOptions" }),
    ).toMatchObject({
      value: { extensionNumber: [51001] },
    });
    const extension = { containingType: "google.protobuf.MethodOptions", extensionNumber: 51001 };
    expect(
      await ask({ case: "fileContainingExtension", value: extension as v1.ExtensionRequest }),
    ).toMatchObject({ case: "fileDescriptorResponse" });
    for (const question of [
      { case: "fileContainingSymbol" as const, value: "no.Such" },
      { case: "fileByFilename" as const, value: "../../etc/passwd" },
      { case: "allExtensionNumbersOfType" as const, value: "no.Such" },
    ])
      expect(await ask(question)).toMatchObject({ case: "errorResponse", value: { errorCode: 5 } });
  });

  test("needs HTTP/2", async () => {
    const response = await fetch(
      `${server.http1Url}/grpc.reflection.v1.ServerReflection/ServerReflectionInfo`,
      {
        method: "POST",
        headers: { "content-type": "application/connect+proto" },
      },
    );
    expect(await response.text()).toContain("unimplemented");
  });

  test("lets buf curl call the gateway without its protos", async () => {
    const { stdout } = await run(
      "node_modules/.bin/buf",
      [
        "curl",
        "--protocol",
        "grpc",
        "--http2-prior-knowledge",
        "-H",
        "authorization: Bearer invoke-secret",
        "-d",
        '{"model":"m","messages":[{"role":"ROLE_USER","parts":[{"text":"hi"}]}]}',
        `${server.http2Url}/llmgateway.v1.CompletionService/Complete`,
      ],
      { timeout: 15_000 },
    );
    expect(JSON.parse(stdout)).toMatchObject({ provider: "openai", cost: { costUsd: "0.000123450000" } });
  });
});

test("shutting down ends what would stay open, and says why", async () => {
  const client = createClient(
    Health,
    createConnectTransport({ baseUrl: server.http1Url, httpVersion: "1.1" }),
  );
  const watch = client.watch({})[Symbol.asyncIterator]();
  await watch.next();
  shutdown.abort();
  const error = await watch.next().catch((thrown: unknown) => ConnectError.from(thrown));
  expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "the gateway is shutting down" });
});
