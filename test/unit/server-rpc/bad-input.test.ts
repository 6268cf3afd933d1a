import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CompleteRequestSchema,
  StreamCompleteRequestSchema,
} from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import {
  connectWire,
  envelope,
  errorInfoOf,
  violationsOf,
  type WireClient,
} from "../../support/grpc-wire.ts";
import { startRpcServer, type TestRpcServer } from "../../support/rpc-server.ts";

const COMPLETE = "/llmgateway.v1.CompletionService/Complete";
const ZEROS = Buffer.alloc(20_000_000);
const STREAM = "/llmgateway.v1.CompletionService/StreamComplete";

let server: TestRpcServer;
let wire: WireClient;
let providerCalls = 0;

beforeAll(async () => {
  const refuse = async () => {
    providerCalls += 1;
    throw new Error("the gateway was called");
  };
  server = await startRpcServer({ gateway: { complete: refuse, stream: refuse } });
  wire = connectWire(server.http2Url);
});
afterAll(async () => {
  wire.close();
  await server.close();
  expect(providerCalls).toBe(0);
});

const good = create(CompleteRequestSchema, {
  model: "m",
  messages: [{ role: 2, parts: [{ content: { case: "text", value: "hi" } }] }],
});
const goodBytes = toBinary(CompleteRequestSchema, good);
const goodStreamBytes = toBinary(
  StreamCompleteRequestSchema,
  create(StreamCompleteRequestSchema, { request: good }),
);
const goodJson = '{"model":"m","messages":[{"role":"ROLE_USER","parts":[{"text":"hi"}]}]}';

describe("gRPC", () => {
  const cases: readonly [string, (bytes: Uint8Array) => Uint8Array, Record<string, string>, Code, string][] =
    [
      ["no message", () => Buffer.alloc(0), {}, Code.Unimplemented, "UNIMPLEMENTED"],
      [
        "two messages",
        (bytes) => Buffer.concat([envelope(bytes), envelope(bytes)]),
        {},
        Code.Unimplemented,
        "UNIMPLEMENTED",
      ],
      [
        "an envelope cut in its header",
        () => Buffer.from([0, 0]),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "an envelope cut in its message",
        (bytes) => envelope(bytes).subarray(0, 12),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "a length that claims too little",
        (bytes) => envelope(bytes, 0, bytes.length - 2),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "a length of 4 GiB",
        (bytes) => envelope(bytes, 0, 0xffff_ffff),
        {},
        Code.ResourceExhausted,
        "MESSAGE_TOO_LARGE",
      ],
      [
        "a compressed flag without a compression",
        (bytes) => envelope(bytes, 1),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "gzip that is none",
        (bytes) => envelope(bytes, 1),
        { "grpc-encoding": "gzip" },
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "gzip cut short",
        (bytes) => envelope(gzipSync(bytes).subarray(0, 20), 1),
        { "grpc-encoding": "gzip" },
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "an unknown compression",
        (bytes) => envelope(bytes),
        { "grpc-encoding": "zstd" },
        Code.Unimplemented,
        "UNIMPLEMENTED",
      ],
      [
        "bytes that are no protobuf",
        () => envelope(Buffer.from([0xff, 0xff, 0xff])),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "invalid UTF-8 in a string",
        () => envelope(Buffer.from([0x12, 2, 0xc3, 0x28])),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "an encoded surrogate in a string",
        () => envelope(Buffer.from([0x12, 3, 0xed, 0xa0, 0x80])),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "groups nested 100k deep",
        () => envelope(Buffer.alloc(100_000, 0x7b)),
        {},
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "a malformed timeout",
        (bytes) => envelope(bytes),
        { "grpc-timeout": "soon" },
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "a timeout of nine digits",
        (bytes) => envelope(bytes),
        { "grpc-timeout": "123456789S" },
        Code.InvalidArgument,
        "INVALID_REQUEST",
      ],
      [
        "a gzip bomb",
        () => envelope(gzipSync(ZEROS), 1),
        { "grpc-encoding": "gzip" },
        Code.ResourceExhausted,
        "MESSAGE_TOO_LARGE",
      ],
      [
        "a brotli bomb",
        () => envelope(brotliCompressSync(ZEROS), 1),
        { "grpc-encoding": "br" },
        Code.ResourceExhausted,
        "MESSAGE_TOO_LARGE",
      ],
    ];

  test.each(cases)("refuses %s", async (_name, body, headers, code, reason) => {
    for (const [path, bytes] of [
      [COMPLETE, goodBytes],
      [STREAM, goodStreamBytes],
    ] as const) {
      const answer = await wire.call(path, body(bytes), headers);
      expect(answer.httpStatus).toBe(200);
      expect(answer.grpcStatus).toBe(code);
      expect(answer.headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
      expect(errorInfoOf(answer)).toMatchObject({
        reason,
        domain: "llmgateway.v1",
        metadata: { request_id: answer.headers["x-request-id"] },
      });
    }
  });

  test("says which fields break which rules", async () => {
    const bytes = toBinary(
      CompleteRequestSchema,
      create(CompleteRequestSchema, { model: "no spaces", temperature: 3 }),
    );
    const answer = await wire.call(COMPLETE, envelope(bytes));
    expect(answer.grpcStatus).toBe(Code.InvalidArgument);
    expect(violationsOf(answer).map(({ field, reason }) => [field, reason])).toEqual([
      ["model", "string.pattern"],
      ["messages", "repeated.min_items"],
      ["temperature", "double.gte_lte"],
    ]);
  });

  test("bounds the details of an error that repeats the request", async () => {
    const messages = Array.from({ length: 4000 }, () => ({ role: 0 as const }));
    const bytes = toBinary(
      CompleteRequestSchema,
      create(CompleteRequestSchema, { model: "x".repeat(9000), messages }),
    );
    const answer = await wire.call(COMPLETE, envelope(bytes));
    expect(answer.grpcStatus).toBe(Code.InvalidArgument);
    expect(String(answer.trailers["grpc-status-details-bin"]).length).toBeLessThan(8000);
  });

  test("names a method that does not exist", async () => {
    const answer = await wire.call("/llmgateway.v1.CompletionService/Guess", envelope(goodBytes));
    expect(answer.grpcStatus).toBe(Code.Unimplemented);
    expect(errorInfoOf(answer)?.reason).toBe("UNIMPLEMENTED");
  });

  test("keeps an id of the caller's only when it is one", async () => {
    const kept = await wire.call(COMPLETE, Buffer.alloc(0), { "x-request-id": "mine-1" });
    expect(kept.headers["x-request-id"]).toBe("mine-1");
    const replaced = await wire.call(COMPLETE, Buffer.alloc(0), { "x-request-id": "x".repeat(37) });
    expect(replaced.headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("JSON", () => {
  const cases: readonly [string, () => string | Buffer, Record<string, string>, number, string][] = [
    ["what is no JSON", () => "{", {}, 400, "INVALID_REQUEST"],
    ["nothing at all", () => "", {}, 400, "INVALID_REQUEST"],
    ["an unknown field", () => goodJson.replace("model", "modell"), {}, 400, "INVALID_REQUEST"],
    ["an unknown enum value", () => goodJson.replace("ROLE_USER", "ROLE_BOSS"), {}, 400, "INVALID_REQUEST"],
    [
      "invalid UTF-8",
      () => Buffer.from(goodJson.replace("hi", "h\u00ff"), "latin1"),
      {},
      400,
      "INVALID_REQUEST",
    ],
    ["a lone surrogate", () => goodJson.replace("hi", "\\ud800"), {}, 400, "INVALID_REQUEST"],
    [
      "a lone surrogate as a map key",
      () => goodJson.replace('"m"', '"m","tags":{"\\udfff":"x"}'),
      {},
      400,
      "INVALID_REQUEST",
    ],
    ["arrays nested 100k deep", () => "[".repeat(100_000), {}, 400, "INVALID_REQUEST"],
    [
      "a field nested 100k deep",
      () => `{"messages":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
      {},
      400,
      "INVALID_REQUEST",
    ],
    [
      "an unknown field whose name is long",
      () => `{"${"x".repeat(20_000)}":1}`,
      { "accept-encoding": "gzip" },
      400,
      "INVALID_REQUEST",
    ],
    [
      "a number that is too large",
      () => goodJson.replace('"m"', '"m","seed":"99999999999999999999"'),
      {},
      400,
      "INVALID_REQUEST",
    ],
    ["NaN", () => goodJson.replace('"m"', '"m","temperature":"NaN"'), {}, 400, "INVALID_REQUEST"],
    ["gzip that is none", () => goodJson, { "content-encoding": "gzip" }, 400, "INVALID_REQUEST"],
    ["an unknown compression", () => goodJson, { "content-encoding": "zstd" }, 501, "UNIMPLEMENTED"],
    ["a gzip bomb", () => gzipSync(ZEROS), { "content-encoding": "gzip" }, 429, "MESSAGE_TOO_LARGE"],
    ["5 MiB", () => Buffer.alloc(5 << 20, 0x20), {}, 429, "MESSAGE_TOO_LARGE"],
    ["a malformed timeout", () => goodJson, { "connect-timeout-ms": "-1" }, 400, "INVALID_REQUEST"],
    ["another content type", () => goodJson, { "content-type": "text/plain" }, 415, "INVALID_REQUEST"],
    [
      "a stream's content type",
      () => goodJson,
      { "content-type": "application/grpc-web-text" },
      415,
      "INVALID_REQUEST",
    ],
  ];

  test.each(cases)("refuses %s", async (_name, body, headers, httpStatus, reason) => {
    const response = await fetch(server.http1Url + COMPLETE, {
      method: "POST",
      headers: { authorization: "Bearer invoke-secret", "content-type": "application/json", ...headers },
      body: new Uint8Array(Buffer.from(body())),
    });
    expect(response.status).toBe(httpStatus);
    const requestId = response.headers.get("x-request-id");
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
    const { details } = (await response.json()) as { details: { type: string; debug: unknown }[] };
    expect(details[0]).toMatchObject({
      type: "google.rpc.ErrorInfo",
      debug: { reason, domain: "llmgateway.v1", metadata: { request_id: requestId } },
    });
  });

  test.each(["application/connect+json", "application/grpc-web+json"])(
    "refuses bad text in %s too",
    async (contentType) => {
      for (const text of ['{"request":{"model":"\\ud800"}}', '{"nope":1}', "{\u00ff}"]) {
        const response = await fetch(server.http1Url + STREAM, {
          method: "POST",
          headers: { authorization: "Bearer invoke-secret", "content-type": contentType },
          body: new Uint8Array(envelope(Buffer.from(text, "latin1"))),
        });
        expect(response.status).toBe(200);
        const body = await response.text();
        expect(body).toMatch(/invalid_argument|grpc-status: 3\r\n/);
        expect(body).toMatch(/google\.rpc\.ErrorInfo|grpc-status-details-bin/);
      }
    },
  );

  test("refuses other HTTP methods, and says which it takes", async () => {
    const response = await fetch(server.http1Url + COMPLETE);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
    const get = await fetch(`${server.http1Url}/llmgateway.v1.CostService/CostQuery`, { method: "DELETE" });
    expect(get.headers.get("allow")).toBe("GET, POST");
  });

  test("refuses a GET whose text is not UTF-8, base64 or JSON", async () => {
    const path = `${server.http1Url}/llmgateway.v1.ModelService/ListModels`;
    for (const query of [
      "encoding=json&message=%7B%22pageToken%22%3A%22%ff%22%7D",
      "encoding=json&base64=1&message=*",
      "encoding=json&message=%7B",
      "encoding=xml&message=%7B%7D",
    ]) {
      const response = await fetch(`${path}?connect=v1&${query}`, {
        headers: { authorization: "Bearer costs-secret" },
      });
      expect([400, 415]).toContain(response.status);
      expect(await response.text()).toContain("INVALID_REQUEST");
    }
  });

  test("answers a GET of a method without side effects", async () => {
    const response = await fetch(
      `${server.http1Url}/llmgateway.v1.ModelService/ListModels?connect=v1&encoding=json&message=%7B%7D`,
      { headers: { authorization: "Bearer invoke-secret" } },
    );
    expect(await response.json()).toEqual({ models: [], nextPageToken: "" });
  });

  test("says NOT_FOUND for a path that is no method", async () => {
    const response = await fetch(`${server.http1Url}/nowhere`);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain("NOT_FOUND");
  });
});

test("a request that goes away in the middle of its body leaves nothing behind", async () => {
  const before = server.requests.length;
  const socket = connectTcp(server.http1Port, "127.0.0.1");
  socket.write(
    `POST ${COMPLETE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"mod`,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  await expect.poll(() => server.requests.length).toBe(before + 1);
  expect(server.requests.at(-1)?.ends[0]?.error?.reason).toBe("CANCELLED");
});

test("a request whose body never ends meets its deadline", async () => {
  const session = connectHttp2(server.http2Url);
  for (const contentType of ["application/grpc", "application/json"]) {
    const stream = session.request({
      ":method": "POST",
      ":path": COMPLETE,
      "content-type": contentType,
      "grpc-timeout": "50m",
      "connect-timeout-ms": "50",
    });
    stream.write("{");
    const chunks: Buffer[] = [];
    let status: unknown;
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    await new Promise((resolve) => stream.on("close", resolve));
    expect(status ?? (JSON.parse(Buffer.concat(chunks).toString()) as { code: string }).code).toBe(
      contentType === "application/grpc" ? "4" : "deadline_exceeded",
    );
  }
  session.destroy();
});

test("a stream request is validated like a unary one", async () => {
  const bytes = toBinary(
    StreamCompleteRequestSchema,
    create(StreamCompleteRequestSchema, { request: { model: "m" } }),
  );
  const answer = await wire.call(STREAM, envelope(bytes));
  expect(answer.grpcStatus).toBe(Code.InvalidArgument);
  expect(violationsOf(answer)[0]?.field).toBe("request.messages");
});
