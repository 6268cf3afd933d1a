import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import {
  CompletionService,
  StreamCompleteRequestSchema,
  StreamCompleteResponseSchema,
} from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import type { StreamDelta } from "../../../src/core/completion.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { CompletionError, type Gateway, type StreamResult } from "../../../src/core/gateway.ts";
import { DirectStream } from "../../../src/server/rpc/direct-stream.ts";
import {
  type BothPaths,
  byHttp1,
  byHttp2,
  createStuckWork,
  IDS,
  reportsOf,
  type Seen,
  type Send,
  type Side,
  startBothPaths,
  untilAbort,
} from "../../support/both-paths.ts";
import { envelope } from "../../support/grpc-wire.ts";
import { createRandom, mutate } from "../../support/mutate.ts";
import { attemptReport } from "../../support/rpc-server.ts";

/** Every stream is asked of two servers, of which one answers it past Connect's handlers. */

const STREAM = "/llmgateway.v1.CompletionService/StreamComplete";
const WATCH = "/grpc.health.v1.Health/Watch";
const SEED = 20_261_126;
const MANY = 400;

const answered = vi.spyOn(DirectStream.prototype, "answer");
const stuck = createStuckWork();

const result = (tokensOut = 1): StreamResult => ({
  provider: "openai",
  model: "gpt-5-mini",
  finishReasons: [{ choiceIndex: 0, finishReason: "stop" }],
  attempts: [
    attemptReport({
      usage: {
        ...{ tokensIn: 1, tokensOut, uncachedTokensIn: 1, textTokensOut: 1 },
        ...{ cacheReadTokensIn: undefined, cacheWriteTokensIn: undefined, reasoningTokensOut: undefined },
      },
    }),
  ],
  replayed: false,
});

/** Texts and reasoning in turns, since the texts of neighbours are joined when the reader is slower. */
const deltasOf = (count: number, text: string): StreamDelta[] =>
  Array.from({ length: count }, (_, index) => ({
    kind: index % 2 === 0 ? ("text" as const) : ("reasoning" as const),
    choiceIndex: 0,
    text: `${index} ${text}`,
  }));

const cut = () =>
  new CompletionError("PROVIDER_STREAM_CUT", "the stream was cut", {
    attempts: [attemptReport({ outcome: "failed", errorReason: "PROVIDER_STREAM_CUT" })],
  });

const stream: Gateway["stream"] = async (call, sink) => {
  if (call.model === "limited") {
    throw new GatewayError("RATE_LIMITED", "zu viele Anfragen: 100 % für „x“\n\ud800", {
      retryAfterMs: 1500,
      quotaViolations: [{ subject: "k", description: "10 a minute", quotaId: "rpm", quotaValue: 10 }],
    });
  }
  if (call.model === "uncalled") throw cut();
  sink.started("openai", "gpt-5-mini");
  await sink.deltas(deltasOf(2, "hello"));
  switch (call.model) {
    case "failing":
      throw cut();
    case "broken":
      throw new TypeError("undefined is not a function: secret internals");
    case "unencodable":
      // More than an int64 holds.
      return result(1e30);
    case "big":
      await sink.deltas(deltasOf(2, "big answer ".repeat(4_000)));
      return result();
    case "many":
      for (let count = 0; count < MANY; count += 1) await sink.deltas(deltasOf(2, "x".repeat(2_000)));
      return result();
    case "slow":
      return untilAbort(call);
    case "stuck":
      return stuck.begin(result());
    default:
      return result();
  }
};

let paths: BothPaths;

beforeAll(async () => {
  paths = await startBothPaths({ stream });
});
afterAll(() => paths.close());
beforeEach(() => {
  answered.mockClear();
});
afterEach(() => stuck.endAll());

const request = (model: string) =>
  create(StreamCompleteRequestSchema, {
    request: { model, messages: [{ role: 2, parts: [{ content: { case: "text", value: "hi" } }] }] },
  });
const proto = (model: string) => toBinary(StreamCompleteRequestSchema, request(model));
const json = (model: string) => Buffer.from(toJsonString(StreamCompleteRequestSchema, request(model)));

const compare = (headers: Record<string, string>, body: Uint8Array, send: Send = byHttp2): Promise<Seen> =>
  paths.compare({ path: STREAM, headers, body }, send);

interface Frame {
  readonly flags: number;
  readonly data: Buffer;
}

function framesOf({ body }: Seen): Frame[] {
  const frames: Frame[] = [];
  let left = Buffer.from(body, "base64");
  while (left.length > 0) {
    const length = left.readUInt32BE(1);
    frames.push({ flags: left.readUInt8(0), data: left.subarray(5, 5 + length) });
    left = left.subarray(5 + length);
  }
  return frames;
}

/** What the events of an answer by gRPC are, which was not compressed. */
const eventsOf = (seen: Seen) =>
  framesOf(seen).map(({ data }) => fromBinary(StreamCompleteResponseSchema, data).event.case);

/** The models, with the gRPC status of their calls and the events before it. */
const outcomes: readonly [string, number, number][] = [
  ["m", 0, 4],
  ["limited", 8, 0],
  ["uncalled", 14, 1],
  ["failing", 14, 4],
  ["broken", 13, 4],
  ["unencodable", 13, 3],
  ["big", 0, 6],
  ["many", 0, 4 + 2 * MANY],
];
const deadlines = ["slow", "stuck"];

describe("gRPC", () => {
  test.each(outcomes)("streams %s the same way past Connect", async (model, grpcStatus, events) => {
    const plain = await compare({}, envelope(proto(model)));
    expect(plain.trailers).toMatchObject({ "grpc-status": String(grpcStatus) });
    expect(eventsOf(plain)).toHaveLength(events);
    for (const accepted of ["identity,deflate,gzip", "br", "zstd", ""]) {
      const { trailers } = await compare({ "grpc-accept-encoding": accepted }, envelope(proto(model)));
      expect(trailers).toEqual(plain.trailers);
    }
    expect(answered).toHaveBeenCalledTimes(5);
  });

  test("compresses what is long", async () => {
    const frames = framesOf(await compare({ "grpc-accept-encoding": "gzip" }, envelope(proto("big"))));
    expect(frames.map(({ flags }) => flags)).toEqual([0, 0, 0, 1, 1, 0]);
  });

  test.each(deadlines)("meets the deadline of %s work the same way", async (model) => {
    const seen = await compare({ "grpc-timeout": "60m" }, envelope(proto(model)));
    expect(seen.trailers).toMatchObject({ "grpc-status": "4" });
    expect(eventsOf(seen)).toEqual(["started", "textDelta", "reasoningDelta", "finished"]);
    expect(answered).toHaveBeenCalledTimes(1);
  });

  test("refuses who may not call, and what breaks the contract, the same way", async () => {
    const statuses: unknown[] = [];
    for (const authorization of ["", "Bearer nothing-secret", "Bearer invoke-secret"]) {
      const { trailers } = await compare({ authorization }, envelope(Buffer.alloc(0)));
      statuses.push(Object(trailers)["grpc-status"]);
    }
    expect(statuses).toEqual(["16", "7", "3"]);
    expect(answered).toHaveBeenCalledTimes(3);
  });

  const one = envelope(proto("m"));
  test.each<[string, Uint8Array, Record<string, string>]>([
    ["no message", Buffer.alloc(0), {}],
    ["two messages", Buffer.concat([one, one]), {}],
    ["an envelope cut in its message", one.subarray(0, 9), {}],
    ["5 MiB", envelope(Buffer.alloc(5 << 20)), {}],
    ["a compressed flag without a compression", envelope(proto("m"), 1), {}],
    ["gzip", envelope(gzipSync(proto("m")), 1), { "grpc-encoding": "gzip" }],
    ["an unknown compression", one, { "grpc-encoding": "zstd" }],
    ["no protobuf", envelope(Buffer.from([0xff, 0xff])), {}],
    ["a malformed timeout", one, { "grpc-timeout": "soon" }],
    ["JSON", envelope(json("m")), { "content-type": "application/grpc+json" }],
  ])("leaves %s to Connect", async (_name, body, headers) => {
    await compare(headers, body);
    expect(answered).not.toHaveBeenCalled();
  });
});

describe.each([
  ["HTTP/1.1", byHttp1],
  ["HTTP/2", byHttp2],
] as const)("gRPC-Web over %s", (_version, send) => {
  const TYPE = { "content-type": "application/grpc-web+proto" };
  const endOf = (seen: Seen) => framesOf(seen).at(-1);

  // Of what cannot be encoded Connect's handler tells more than callers may know.
  const comparable = outcomes.filter(([model]) => model !== "unencodable");

  test.each(comparable)("streams %s the same way past Connect", async (model, grpcStatus, events) => {
    const seen = await compare(TYPE, envelope(proto(model)), send);
    expect(framesOf(seen)).toHaveLength(events + 1);
    expect(endOf(seen)?.flags).toBe(0x80);
    expect(String(endOf(seen)?.data)).toContain(`grpc-status: ${grpcStatus}\r\n`);
    for (const accepted of ["identity,deflate,gzip", "br", "zstd", ""]) {
      const headers = { "content-type": "application/grpc-web", "grpc-accept-encoding": accepted };
      await compare(headers, envelope(proto(model)), send);
    }
    expect(answered).toHaveBeenCalledTimes(5);
  });

  test("does not tell why a message cannot be encoded", async () => {
    const body = envelope(proto("unencodable"));
    const end = endOf(await send(paths.direct, { path: STREAM, headers: TYPE, body }));
    expect(String(end?.data)).toMatch(
      /^grpc-message: internal%20error\r\ngrpc-status: 13\r\ngrpc-status-details-bin: /,
    );
  });

  test.each(deadlines)("meets the deadline of %s work the same way", async (model) => {
    const seen = await compare({ ...TYPE, "grpc-timeout": "60m" }, envelope(proto(model)), send);
    expect(String(endOf(seen)?.data)).toContain("grpc-status: 4\r\n");
    expect(answered).toHaveBeenCalledTimes(1);
  });

  const one = envelope(proto("m"));
  test.each<[string, Uint8Array, Record<string, string>]>([
    ["no message", Buffer.alloc(0), {}],
    ["a message with trailers after it", Buffer.concat([one, envelope(Buffer.from("a: b\r\n"), 0x80)]), {}],
    ["gzip", envelope(gzipSync(proto("m")), 1), { "grpc-encoding": "gzip" }],
    ["JSON", envelope(json("m")), { "content-type": "application/grpc-web+json" }],
  ])("leaves %s to Connect", async (_name, body, headers) => {
    await compare({ ...TYPE, ...headers }, body, send);
    expect(answered).not.toHaveBeenCalled();
  });
});

describe.each([
  ["HTTP/1.1", byHttp1],
  ["HTTP/2", byHttp2],
] as const)("Connect over %s", (_version, send) => {
  const JSON_TYPE = { "content-type": "application/connect+json" };
  const PROTO_TYPE = { "content-type": "application/connect+proto" };

  // Of what cannot be encoded Connect's handler tells more than callers may know.
  const comparable = outcomes.filter(([model]) => model !== "unencodable");

  test.each(comparable)("streams %s the same way past Connect", async (model) => {
    const accepts: Record<string, string>[] = [
      {},
      { "connect-accept-encoding": "gzip, deflate, br" },
      { "connect-accept-encoding": "zstd" },
      { "connect-protocol-version": "1", "connect-content-encoding": "identity" },
    ];
    for (const headers of accepts) {
      const ofProto = await compare({ ...headers, ...PROTO_TYPE }, envelope(proto(model)), send);
      const ofJson = await compare({ ...headers, ...JSON_TYPE }, envelope(json(model)), send);
      for (const seen of [ofProto, ofJson])
        expect(framesOf(seen).filter(({ flags }) => flags & 2)).toHaveLength(1);
    }
    expect(answered).toHaveBeenCalledTimes(2 * accepts.length);
  });

  test("does not tell why a message cannot be encoded", async () => {
    const body = envelope(proto("unencodable"));
    const seen = await send(paths.direct, { path: STREAM, headers: PROTO_TYPE, body });
    const end = framesOf(seen).at(-1);
    expect(end?.flags).toBe(2);
    expect(JSON.parse(String(end?.data))).toMatchObject({
      error: { code: "internal", message: "internal error", details: [{ type: "google.rpc.ErrorInfo" }, {}] },
    });
  });

  test.each(deadlines)("meets the deadline of %s work the same way", async (model) => {
    const seen = await compare({ ...JSON_TYPE, "connect-timeout-ms": "60" }, envelope(json(model)), send);
    expect(framesOf(seen).at(-1)?.data.toString()).toContain("deadline_exceeded");
    expect(answered).toHaveBeenCalledTimes(1);
  });

  test.each<[string, Uint8Array, Record<string, string>]>([
    ["no JSON", envelope(Buffer.from("{")), {}],
    ["nothing", Buffer.alloc(0), {}],
    ["an unknown field", envelope(Buffer.from('{"modell":"m"}')), {}],
    ["a message without an envelope", json("m"), {}],
    ["gzip", envelope(gzipSync(json("m")), 1), { "connect-content-encoding": "gzip" }],
    ["a malformed timeout", envelope(json("m")), { "connect-timeout-ms": "-1" }],
    ["a charset", envelope(json("m")), { "content-type": "application/connect+json; charset=utf-8" }],
  ])("leaves %s to Connect", async (_name, body, headers) => {
    await compare({ ...JSON_TYPE, ...headers }, body, send);
    expect(answered).not.toHaveBeenCalled();
  });
});

test("mutated messages are answered the same way", async () => {
  const random = createRandom(SEED);
  const seed = proto("m");
  for (let count = 0; count < 500; count += 1) {
    const message = mutate(seed, random);
    const framed = random(10) === 0 ? mutate(envelope(message), random) : envelope(message);
    await compare({}, framed);
  }
  // Some of them are still valid messages.
  expect(answered.mock.calls.length).toBeGreaterThan(0);
  expect(answered.mock.calls.length).toBeLessThan(490);
}, 30_000);

test.each<[string, (side: Side) => Transport]>([
  ["gRPC", ({ server }) => createGrpcTransport({ baseUrl: server.http2Url })],
  ["gRPC-Web", ({ server }) => createGrpcWebTransport({ baseUrl: server.http1Url, httpVersion: "1.1" })],
  ["Connect", ({ server }) => createConnectTransport({ baseUrl: server.http1Url, httpVersion: "1.1" })],
])("a client that goes away in the midst of a stream by %s is reported the same way", async (_name, to) => {
  const { direct, connect } = paths;
  const reports: unknown[] = [];
  for (const side of [direct, connect]) {
    const from = side.server.requests.length;
    const leaving = new AbortController();
    const headers = { authorization: "Bearer invoke-secret", ...IDS };
    const call = createClient(CompletionService, to(side)).streamComplete(request("slow"), {
      headers,
      signal: leaving.signal,
    });
    const read = (async () => {
      for await (const { event } of call) if (event.case === "textDelta") leaving.abort();
    })();
    await expect(read).rejects.toSatisfy((error) => ConnectError.from(error).code === Code.Canceled);
    await expect.poll(() => side.server.requests[from]?.ends.length).toBe(1);
    reports.push(reportsOf(side, from));
  }
  expect(reports[0]).toMatchObject([{ ends: [{ reason: "CANCELLED", completion: { attempts: 1 } }] }]);
  expect(reports[0]).toEqual(reports[1]);
  expect(answered).toHaveBeenCalledTimes(1);
});

test("a health check that watches is answered past Connect, too", async () => {
  const headers = { authorization: "", "grpc-timeout": "60m" };
  const seen = await paths.compare({ path: WATCH, headers, body: envelope(Buffer.alloc(0)) }, byHttp2);
  expect(seen.trailers).toMatchObject({ "grpc-status": "4" });
  expect(framesOf(seen)).toHaveLength(1);
  expect(answered).toHaveBeenCalledTimes(1);
});
