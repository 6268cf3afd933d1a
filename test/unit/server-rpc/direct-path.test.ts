import { gzipSync } from "node:zlib";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { CompleteRequestSchema, CompletionService } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { CompletionServiceClient } from "../../../gen/ts-proto/llmgateway/v1/completion.ts";
import { Role } from "../../../gen/ts-proto/llmgateway/v1/content.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { CompletionError, type Gateway } from "../../../src/core/gateway.ts";
import type { Usage } from "../../../src/core/usage.ts";
import { DirectUnary } from "../../../src/server/rpc/direct-unary.ts";
import {
  type BothPaths,
  byHttp1,
  byHttp2,
  createStuckWork,
  IDS,
  reportsOf,
  type Seen,
  type Send,
  type Sent,
  type Side,
  startBothPaths,
  untilAbort,
} from "../../support/both-paths.ts";
import { envelope } from "../../support/grpc-wire.ts";
import { createRandom, mutate, seedMessage } from "../../support/mutate.ts";
import { attemptReport, completionResult, type TestRpcServer } from "../../support/rpc-server.ts";

/** Every request is sent to two servers, of which one answers unary calls past Connect's handlers. */

const COMPLETE = "/llmgateway.v1.CompletionService/Complete";
const LIST_MODELS = "/llmgateway.v1.ModelService/ListModels";
const HEALTH = "/grpc.health.v1.Health/Check";
const SEED = 20_261_124;

const answered = vi.spyOn(DirectUnary.prototype, "answer");
const stuck = createStuckWork();

const plainUsage: Usage = {
  tokensIn: 1,
  tokensOut: 1,
  uncachedTokensIn: 1,
  cacheReadTokensIn: undefined,
  cacheWriteTokensIn: undefined,
  textTokensOut: 1,
  reasoningTokensOut: undefined,
};

const complete: Gateway["complete"] = async (call) => {
  switch (call.model) {
    case "limited":
      throw new GatewayError("RATE_LIMITED", "zu viele Anfragen: 100 % für „x“\n\ud800", {
        retryAfterMs: 1500,
        metadata: { limit: "requests_per_minute" },
        quotaViolations: [{ subject: "k", description: "10 a minute", quotaId: "rpm", quotaValue: 10 }],
      });
    case "failing":
      throw new CompletionError("PROVIDER_TIMEOUT", "the provider did not answer in time", {
        attempts: Array.from({ length: 40 }, () => attemptReport({ outcome: "failed" })),
      });
    case "broken":
      throw new TypeError("undefined is not a function: secret internals");
    case "unencodable":
      // More than an int64 holds.
      return completionResult("m", [attemptReport({ usage: { ...plainUsage, tokensOut: 1e30 } })]);
    case "big":
      return completionResult("big answer ".repeat(4000));
    case "huge":
      return completionResult("x".repeat(6_000_000));
    case "slow":
      return untilAbort(call);
    case "stuck":
      return stuck.begin(completionResult("late"));
    default:
      return completionResult(`hello ${call.input.messages.length}`);
  }
};

let paths: BothPaths;

beforeAll(async () => {
  paths = await startBothPaths({ complete });
});
afterAll(() => paths.close());
beforeEach(() => {
  answered.mockClear();
});
afterEach(() => stuck.endAll());

const compare = (sent: Omit<Sent, "path"> & { readonly path?: string }, send: Send): Promise<Seen> =>
  paths.compare({ path: COMPLETE, ...sent }, send);

function request(model: string) {
  return create(CompleteRequestSchema, {
    model,
    messages: [{ role: 2, parts: [{ content: { case: "text", value: "hi" } }] }],
  });
}
const proto = (model: string) => toBinary(CompleteRequestSchema, request(model));
const json = (model: string) => Buffer.from(toJsonString(CompleteRequestSchema, request(model)));

/** The models, with the gRPC status and the HTTP status of their calls. */
const outcomes: readonly [string, number, number][] = [
  ["m", 0, 200],
  ["limited", 8, 429],
  ["failing", 14, 503],
  ["broken", 13, 500],
  ["unencodable", 13, 500],
  ["big", 0, 200],
  ["huge", 0, 200],
];
const deadlines = ["slow", "stuck"];
const GZIP = gzipSync(proto("m"));

describe("gRPC", () => {
  const accepts: Record<string, string>[] = [
    {},
    { "grpc-accept-encoding": "identity,deflate,gzip" },
    { "grpc-accept-encoding": "br" },
    { "grpc-accept-encoding": "zstd" },
    { "grpc-accept-encoding": "" },
    { "grpc-encoding": "identity", "content-type": "application/grpc" },
  ];

  test.each(outcomes)("answers %s the same way past Connect", async (model, grpcStatus) => {
    for (const headers of accepts) {
      const { trailers } = await compare({ headers, body: envelope(proto(model)) }, byHttp2);
      expect(trailers).toMatchObject({ "grpc-status": String(grpcStatus) });
    }
    expect(answered).toHaveBeenCalledTimes(accepts.length);
  });

  test.each(deadlines)("meets the deadline of %s work the same way", async (model) => {
    const headers = { "grpc-timeout": "40m" };
    const { trailers } = await compare({ headers, body: envelope(proto(model)) }, byHttp2);
    expect(trailers).toMatchObject({ "grpc-status": "4" });
    expect(answered).toHaveBeenCalledTimes(1);
  });

  test.each<[string, string, Record<string, string>, number]>([
    ["an empty message", LIST_MODELS, {}, 0],
    ["a public method", HEALTH, { authorization: "" }, 0],
    ["no key", LIST_MODELS, { authorization: "" }, 16],
    ["a key that may not", LIST_MODELS, { authorization: "Bearer nothing-secret" }, 7],
    ["a message that breaks the contract", COMPLETE, {}, 3],
  ])("answers %s the same way past Connect", async (_name, path, headers, status) => {
    const { trailers } = await compare({ path, headers, body: envelope(Buffer.alloc(0)) }, byHttp2);
    expect(trailers).toMatchObject({ "grpc-status": String(status) });
    expect(answered).toHaveBeenCalledTimes(1);
  });

  test("reads a message that comes in many pieces", async () => {
    const messages = Array.from({ length: 60 }, () => ({
      role: 2 as const,
      parts: [{ content: { case: "text" as const, value: "ü".repeat(5000) } }],
    }));
    const body = toBinary(CompleteRequestSchema, create(CompleteRequestSchema, { model: "m", messages }));
    await compare({ body: envelope(body) }, byHttp2);
    expect(answered).toHaveBeenCalledTimes(1);
  });

  const one = envelope(proto("m"));
  test.each<[string, Uint8Array, Record<string, string>]>([
    ["no message", Buffer.alloc(0), {}],
    ["two messages", Buffer.concat([one, one]), {}],
    ["a good message and half a one", Buffer.concat([one, one.subarray(0, 9)]), {}],
    ["an envelope cut in its header", one.subarray(0, 3), {}],
    ["an envelope without its message", one.subarray(0, 5), {}],
    ["an envelope cut in its message", one.subarray(0, 9), {}],
    ["a length of 4 GiB", envelope(proto("m"), 0, 0xffff_ffff), {}],
    ["a length of one byte too much", envelope(Buffer.alloc(9), 0, 4 * 1024 * 1024 + 1), {}],
    ["5 MiB", envelope(Buffer.alloc(5 << 20)), {}],
    [
      "5 MiB whose length is stated",
      envelope(Buffer.alloc(5 << 20)),
      { "content-length": `${(5 << 20) + 5}` },
    ],
    ["a compressed flag without a compression", envelope(proto("m"), 1), {}],
    ["a flag that nobody knows", envelope(proto("m"), 2), {}],
    ["gzip", envelope(GZIP, 1), { "grpc-encoding": "gzip" }],
    ["gzip that is not used", one, { "grpc-encoding": "gzip" }],
    ["gzip that is none", envelope(proto("m"), 1), { "grpc-encoding": "gzip" }],
    ["an unknown compression", one, { "grpc-encoding": "zstd" }],
    ["no protobuf", envelope(Buffer.from([0xff, 0xff])), {}],
    ["invalid UTF-8", envelope(Buffer.from([0x12, 2, 0xc3, 0x28])), {}],
    ["a malformed timeout", one, { "grpc-timeout": "soon" }],
    ["JSON", envelope(json("m")), { "content-type": "application/grpc+json" }],
    ["a content type in capitals", one, { "content-type": "Application/gRPC" }],
  ])("leaves %s to Connect", async (_name, body, headers) => {
    await compare({ body, headers }, byHttp2);
    expect(answered).not.toHaveBeenCalled();
  });
});

describe.each([
  ["HTTP/1.1", byHttp1],
  ["HTTP/2", byHttp2],
] as const)("gRPC-Web over %s", (_version, send) => {
  const TYPE = { "content-type": "application/grpc-web+proto" };

  const textOf = ({ body }: Seen) => Buffer.from(body, "base64").toString("latin1");

  // Of what cannot be encoded Connect's handler tells more than callers may know.
  const comparable = outcomes.filter(([model]) => model !== "unencodable");

  test.each(comparable)("answers %s the same way past Connect", async (model, grpcStatus) => {
    const body = envelope(proto(model));
    const seen = await compare({ headers: TYPE, body }, send);
    expect(textOf(seen)).toContain(`grpc-status: ${grpcStatus}\r\n`);
    await compare({ headers: { ...TYPE, "grpc-accept-encoding": "gzip" }, body }, send);
    await compare({ headers: { "content-type": "application/grpc-web" }, body }, send);
    expect(answered).toHaveBeenCalledTimes(3);
  });

  test("does not tell why an answer cannot be encoded", async () => {
    const sent = { path: COMPLETE, headers: TYPE, body: envelope(proto("unencodable")) };
    expect(textOf(await send(paths.direct, sent))).toMatch(
      /grpc-message: internal%20error\r\ngrpc-status: 13\r\n/,
    );
  });

  test("meets a deadline the same way", async () => {
    const headers = { ...TYPE, "grpc-timeout": "40m" };
    const seen = await compare({ headers, body: envelope(proto("stuck")) }, send);
    expect(textOf(seen)).toContain("grpc-status: 4\r\n");
    expect(answered).toHaveBeenCalledTimes(1);
  });

  test.each<[string, Uint8Array, Record<string, string>]>([
    ["no message", Buffer.alloc(0), {}],
    ["gzip", envelope(GZIP, 1), { "grpc-encoding": "gzip" }],
    ["JSON", envelope(json("m")), { "content-type": "application/grpc-web+json" }],
  ])("leaves %s to Connect", async (_name, body, headers) => {
    await compare({ body, headers: { ...TYPE, ...headers } }, send);
    expect(answered).not.toHaveBeenCalled();
  });
});

describe.each([
  ["HTTP/1.1", byHttp1],
  ["HTTP/2", byHttp2],
] as const)("Connect over %s", (_version, send) => {
  const JSON_TYPE = { "content-type": "application/json" };
  const PROTO_TYPE = { "content-type": "application/proto" };
  const accepts: Record<string, string>[] = [
    {},
    { "accept-encoding": "gzip, deflate, br" },
    { "accept-encoding": "br" },
    { "accept-encoding": "zstd" },
    { "connect-protocol-version": "1", "content-encoding": "identity" },
  ];

  test.each(outcomes)("answers %s the same way past Connect", async (model, _grpcStatus, status) => {
    for (const headers of accepts) {
      const asJson = await compare({ headers: { ...headers, ...JSON_TYPE }, body: json(model) }, send);
      const asProto = await compare({ headers: { ...headers, ...PROTO_TYPE }, body: proto(model) }, send);
      expect(asProto.status).toBe(status);
      // JSON writes any whole number.
      expect(asJson.status).toBe(model === "unencodable" ? 200 : status);
    }
    expect(answered).toHaveBeenCalledTimes(2 * accepts.length);
  });

  test.each(deadlines)("meets the deadline of %s work the same way", async (model) => {
    const headers = { ...JSON_TYPE, "connect-timeout-ms": "40" };
    expect((await compare({ headers, body: json(model) }, send)).status).toBe(504);
    expect(answered).toHaveBeenCalledTimes(1);
  });

  test("refuses who may not call, and what breaks the contract, the same way past Connect", async () => {
    const statuses: number[] = [];
    for (const [path, authorization] of [
      [LIST_MODELS, "Bearer nothing-secret"],
      [LIST_MODELS, ""],
      [COMPLETE, "Bearer invoke-secret"],
    ] as const) {
      const body = Buffer.from("{}");
      statuses.push((await compare({ path, headers: { ...JSON_TYPE, authorization }, body }, send)).status);
    }
    expect(statuses).toEqual([403, 401, 400]);
    expect(answered).toHaveBeenCalledTimes(3);
  });

  test.each<[string, Uint8Array, Record<string, string>]>([
    ["no JSON", Buffer.from("{"), {}],
    ["nothing", Buffer.alloc(0), {}],
    ["an unknown field", Buffer.from('{"modell":"m"}'), {}],
    ["invalid UTF-8", Buffer.from('{"model":"h\u00ff"}', "latin1"), {}],
    ["a lone surrogate", Buffer.from('{"model":"\\ud800"}'), {}],
    ["5 MiB", Buffer.alloc(5 << 20, 0x20), {}],
    ["gzip", gzipSync(json("m")), { "content-encoding": "gzip" }],
    ["gzip that is none", json("m"), { "content-encoding": "gzip" }],
    ["an unknown compression", json("m"), { "content-encoding": "zstd" }],
    ["no protobuf", Buffer.from([0xff, 0xff]), PROTO_TYPE],
    ["a malformed timeout", json("m"), { "connect-timeout-ms": "-1" }],
    ["a charset", json("m"), { "content-type": "application/json; charset=utf-8" }],
  ])("leaves %s to Connect", async (_name, body, headers) => {
    await compare({ body, headers: { ...JSON_TYPE, ...headers } }, send);
    expect(answered).not.toHaveBeenCalled();
  });
});

test.each([
  ["gRPC", "application/grpc", toBinary(CompleteRequestSchema, seedMessage)],
  ["Connect protobuf", "application/proto", toBinary(CompleteRequestSchema, seedMessage)],
  ["Connect JSON", "application/json", Buffer.from(toJsonString(CompleteRequestSchema, seedMessage))],
])(
  "mutated messages in %s are answered the same way",
  async (_name, contentType, seed) => {
    const random = createRandom(SEED);
    const headers = { "content-type": contentType };
    for (let count = 0; count < 500; count += 1) {
      const message = mutate(seed, random);
      const framed = random(10) === 0 ? mutate(envelope(message), random) : envelope(message);
      await compare({ headers, body: contentType === "application/grpc" ? framed : message }, byHttp2);
    }
    // Some of them are still valid messages.
    expect(answered.mock.calls.length).toBeGreaterThan(0);
    expect(answered.mock.calls.length).toBeLessThan(490);
  },
  30_000,
);

const transports: readonly [string, (server: TestRpcServer) => Transport][] = [
  ["gRPC", ({ http2Url }) => createGrpcTransport({ baseUrl: http2Url })],
  ["Connect protobuf", ({ http2Url }) => createConnectTransport({ baseUrl: http2Url, httpVersion: "2" })],
  [
    "Connect JSON",
    ({ http1Url }) =>
      createConnectTransport({ baseUrl: http1Url, httpVersion: "1.1", useBinaryFormat: false }),
  ],
];

describe.each(transports)("a Connect client that speaks %s", (_name, transport) => {
  const client = ({ server }: Side) => createClient(CompletionService, transport(server));
  const headers = { authorization: "Bearer invoke-secret", ...IDS };

  test("gets the same messages, errors and details", async () => {
    for (const model of ["m", "limited", "failing", "broken", "big"]) {
      const outcome = (side: Side) =>
        client(side)
          .complete(request(model), { headers })
          .catch((thrown: unknown) => {
            const error = ConnectError.from(thrown);
            const metadata = [...error.metadata].filter(([name]) => name !== "date");
            return { code: error.code, message: error.rawMessage, details: error.details, metadata };
          });
      expect(await outcome(paths.direct)).toEqual(await outcome(paths.connect));
    }
    expect(answered).toHaveBeenCalledTimes(5);
  });

  test("is reported the same way when it goes away", async () => {
    const { direct, connect } = paths;
    const before = [direct.server.requests.length, connect.server.requests.length];
    for (const [side, from] of [
      [direct, before[0]],
      [connect, before[1]],
    ] as const) {
      const leaving = new AbortController();
      const call = client(side).complete(request("slow"), { headers, signal: leaving.signal });
      await expect.poll(() => side.server.requests[from ?? 0]?.apiKeyId).toBe("k_invoke");
      leaving.abort();
      await expect(call).rejects.toMatchObject({ code: Code.Canceled });
      await expect.poll(() => side.server.requests[from ?? 0]?.ends.length).toBe(1);
    }
    const [report] = reportsOf(direct, before[0]);
    expect(report?.ends[0]).toMatchObject({ reason: "CANCELLED", completion: { attempts: 1 } });
    expect([report]).toEqual(reportsOf(connect, before[1]));
    expect(answered).toHaveBeenCalledTimes(1);
  });
});

test("grpc-js gets the same messages, errors, headers and trailers", async () => {
  const outcomeOf = ({ server }: Side, model: string) =>
    new Promise<unknown>((resolve) => {
      const client = new CompletionServiceClient(
        `127.0.0.1:${server.http2Port}`,
        credentials.createInsecure(),
      );
      const parts = [{ content: { $case: "text" as const, value: "hi" } }];
      const messages = [{ role: Role.ROLE_USER, parts, name: "" }];
      const lists = { stop: [], tools: [], fallbackModels: [] };
      const message = { requestId: "", model, messages, ...lists, tags: {}, endUser: "" };
      const metadata = new Metadata();
      metadata.set("x-api-key", "invoke-secret");
      metadata.set("x-request-id", "from-header");
      let headers: unknown;
      const plain = (received: Metadata) => {
        received.remove("date");
        return received.toJSON();
      };
      const call = client.complete(message, metadata, (error, response) => {
        client.close();
        const failure = error && {
          code: error.code,
          details: error.details,
          trailers: plain(error.metadata),
        };
        resolve({ response, failure, headers });
      });
      call.on("metadata", (received: Metadata) => {
        headers = plain(received);
      });
    });
  for (const model of ["m", "limited", "failing", "broken", "big"])
    expect(await outcomeOf(paths.direct, model)).toEqual(await outcomeOf(paths.connect, model));
  expect(answered).toHaveBeenCalledTimes(5);
});
