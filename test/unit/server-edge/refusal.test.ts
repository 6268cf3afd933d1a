import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/es/google/rpc/status_pb.ts";
import type { Handler } from "../../../src/server/edge/handler.ts";
import { refuse } from "../../../src/server/edge/refusal.ts";
import { answerVersion, connectRaw, fetchHttp2, startEdge, until } from "./support/edge.ts";
import {
  connectRawHttp2,
  END_HEADERS,
  END_STREAM,
  encodeHeaders,
  FRAME_TYPE,
  GET_HEADERS,
} from "./support/raw-http2.ts";

const overloaded: Handler = (request, response) =>
  refuse(request, response, { reason: "OVERLOADED", message: "too much", retryAfterMs: 2_500 });
const RPC = "/llmgateway.v1.CompletionService/Complete";

async function call(contentType: string) {
  const edge = await startEdge(overloaded);
  return fetchHttp2(
    `http://127.0.0.1:${edge.port}`,
    { ":method": "POST", ":path": RPC, "content-type": contentType, "x-request-id": "mine" },
    { body: Buffer.alloc(5) },
  );
}

test("a gRPC call is refused with status, message and details in the trailers", async () => {
  const answer = await call("application/grpc+proto");
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toBe("application/grpc+proto");
  const trailers = { ...answer.headers, ...answer.trailers };
  expect(trailers["grpc-status"]).toBe("14");
  expect(trailers["grpc-message"]).toBe("too%20much");
  expect(trailers["x-request-id"]).toBe("mine");
  const { details } = fromBinary(
    StatusSchema,
    Buffer.from(String(trailers["grpc-status-details-bin"]), "base64"),
  );
  const info = details.find(({ typeUrl }) => typeUrl.endsWith("ErrorInfo"));
  expect(fromBinary(ErrorInfoSchema, info?.value ?? new Uint8Array()).reason).toBe("OVERLOADED");
  const retry = details.find(({ typeUrl }) => typeUrl.endsWith("RetryInfo"));
  expect(fromBinary(RetryInfoSchema, retry?.value ?? new Uint8Array()).retryDelay?.seconds).toBe(2n);
  expect(answer.body.length).toBe(0);
});

test("a gRPC-Web call is refused with its trailers in the body", async () => {
  const answer = await call("application/grpc-web+proto");
  expect(answer.status).toBe(200);
  expect(answer.body.readUInt8(0)).toBe(0x80);
  expect(answer.body.toString()).toContain("grpc-status: 14");
});

test("a Connect stream is refused with its end message", async () => {
  const answer = await call("application/connect+json");
  expect(answer.status).toBe(200);
  expect(answer.body.readUInt8(0)).toBe(2);
  expect(JSON.parse(answer.body.subarray(5).toString())).toMatchObject({ error: { code: "unavailable" } });
});

test("a Connect unary call is refused with status 503, its JSON error and when to try again", async () => {
  const answer = await call("application/json");
  expect(answer.status).toBe(503);
  expect(answer.headers["retry-after"]).toBe("3");
  expect(answer.headers["x-request-id"]).toBe("mine");
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: "unavailable", message: "too much" });
});

test("a refusal does not wait for the body, and closes an HTTP/1 connection whose body is long", async () => {
  const edge = await startEdge(overloaded);
  const client = connectRaw(edge.port);
  client.socket.write(
    `POST ${RPC} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9999999\r\n\r\n{`,
  );
  await client.closed;
  expect(client.text()).toContain("503");
  expect(client.text().toLowerCase()).toContain("connection: close");
});

test("a refusal of a short body keeps the HTTP/1 connection", async () => {
  const edge = await startEdge(overloaded);
  const client = connectRaw(edge.port);
  const request = `POST ${RPC} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`;
  client.socket.write(request + request);
  await until(() => client.text().split("503").length === 3);
  client.socket.destroy();
});

test.each(["authorization", "x-api-key", "x-request-id", "grpc-timeout", "idempotency-key"])(
  "two headers %s are refused over HTTP/1.1, however they are spelled",
  async (name) => {
    const reached: string[] = [];
    const edge = await startEdge((request) => reached.push(request.url ?? ""));
    const client = connectRaw(edge.port);
    client.socket.write(`GET / HTTP/1.1\r\nhost: a\r\n${name}: 1\r\n${name.toUpperCase()}: 2\r\n\r\n`);
    await until(() => client.text().includes(`the header ${name} was sent more than once`));
    expect(client.text()).toContain("400 Bad Request");
    expect(reached).toEqual([]);
    client.socket.destroy();
  },
);

test("two authorization headers of a gRPC call are INVALID_ARGUMENT", async () => {
  const reached: string[] = [];
  const edge = await startEdge((request) => reached.push(request.url ?? ""));
  const answer = await fetchHttp2(
    `http://127.0.0.1:${edge.port}`,
    {
      ":method": "POST",
      ":path": RPC,
      "content-type": "application/grpc",
      // Node sends an array as one header line each, where it is allowed to.
      authorization: ["Bearer a", "Bearer b"] as unknown as string,
    },
    { strictSingleValueFields: false },
  );
  expect({ ...answer.headers, ...answer.trailers }).toMatchObject({ "grpc-status": "3" });
  expect(reached).toEqual([]);
});

test("60 kB of headers are refused in both protocols", async () => {
  const reached: string[] = [];
  const edge = await startEdge((request) => reached.push(request.httpVersion));
  const client = connectRaw(edge.port);
  client.socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx-large: ${"a".repeat(60_000)}\r\n\r\n`);
  await client.closed;
  expect(client.text()).toContain("431");
  const large = Object.fromEntries(["a", "b", "c", "d"].map((name) => [`x-${name}`, "a".repeat(15_000)]));
  const answer = await fetchHttp2(`http://127.0.0.1:${edge.port}`, large);
  expect(answer.status).toBe(431);
  expect(reached).toEqual([]);
});

test("17 kB of headers sent before the limit could be known are refused as well", async () => {
  const reached: string[] = [];
  const edge = await startEdge((request) => reached.push(request.httpVersion));
  const client = connectRawHttp2(edge.port);
  const large: (readonly [string, string])[] = [
    ...GET_HEADERS,
    ["x-a", "a".repeat(9_000)],
    ["x-b", "b".repeat(9_000)],
  ];
  const block = encodeHeaders(large);
  client.send(FRAME_TYPE.HEADERS, END_STREAM, 1, block.subarray(0, 16_000));
  client.send(FRAME_TYPE.CONTINUATION, END_HEADERS, 1, block.subarray(16_000));
  const answer = await client.frame((frame) => frame.streamId === 1);
  expect([FRAME_TYPE.RST_STREAM, FRAME_TYPE.HEADERS]).toContain(answer.type);
  expect(reached).toEqual([]);
  client.socket.destroy();
});

test.each([
  [100, true],
  [101, false],
  [200, false],
])("%i headers: served is %s, in both protocols", async (count, served) => {
  const edge = await startEdge(answerVersion);
  const names = Array.from({ length: count - 1 }, (_, index) => `x-${index}`);
  const client = connectRaw(edge.port);
  client.socket.write(`GET / HTTP/1.1\r\nhost: a\r\n${names.map((name) => `${name}: 1\r\n`).join("")}\r\n`);
  await until(() => client.text().includes("HTTP/1.1"));
  expect(client.text().includes("200 OK")).toBe(served);
  client.socket.destroy();
  const headers = Object.fromEntries([...names, "x-last"].map((name) => [name, "1"]));
  const answer = await fetchHttp2(`http://127.0.0.1:${edge.port}`, headers).catch(() => undefined);
  expect(answer?.status === 200).toBe(served);
});
