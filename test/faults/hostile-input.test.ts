import { readFileSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { gzipSync } from "node:zlib";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  CompleteRequestSchema,
  type StreamCompleteRequest,
  StreamCompleteRequestSchema,
} from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../../gen/es/llmgateway/v1/content_pb.ts";
import { connectWire, envelope } from "../support/grpc-wire.ts";
import { inParallel } from "../support/in-parallel.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const bench = useFaultBench({ groups: { openai: { profile: "openai" } } });

const COMPLETE = "/llmgateway.v1.CompletionService/Complete";
const STREAM = "/llmgateway.v1.CompletionService/StreamComplete";

let model: string;
beforeAll(() => {
  model = bench().candidate();
});

/** Whatever was refused here reached no provider; the law of the bench finds no row for it either. */
let expectedCalls = 0;
afterEach(() => {
  expect(bench().simulator.requests.recent()).toHaveLength(expectedCalls);
});

const authorization = () => ({ authorization: `Bearer ${bench().secret}` });

const streamRequest = (): StreamCompleteRequest =>
  create(StreamCompleteRequestSchema, {
    request: {
      model,
      messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: "hello" } }] }],
    },
  });
const unaryJson = () =>
  toJsonString(CompleteRequestSchema, streamRequest().request ?? create(CompleteRequestSchema));
const unaryBytes = () =>
  toBinary(CompleteRequestSchema, streamRequest().request ?? create(CompleteRequestSchema));
const streamJson = () => toJsonString(StreamCompleteRequestSchema, streamRequest());
const streamBytes = () => toBinary(StreamCompleteRequestSchema, streamRequest());

/** Replaces a text inside a protobuf by bytes of the same length, so that the lengths around it still fit. */
function withBytes(message: Uint8Array, text: string, bytes: readonly number[]): Buffer {
  const changed = Buffer.from(message);
  const at = changed.indexOf(text);
  expect(text.length).toBe(bytes.length);
  Buffer.from(bytes).copy(changed, at);
  return changed;
}

describe("a malformed call", () => {
  it("of gRPC is INVALID_ARGUMENT or UNIMPLEMENTED", async () => {
    const whole = envelope(unaryBytes());
    const cases: readonly (readonly [string, Uint8Array, Record<string, string>, Code])[] = [
      ["no message", Buffer.alloc(0), {}, Code.Unimplemented],
      ["two messages", Buffer.concat([whole, whole]), {}, Code.Unimplemented],
      ["an envelope cut in its header", whole.subarray(0, 3), {}, Code.InvalidArgument],
      ["an envelope cut in its message", whole.subarray(0, 20), {}, Code.InvalidArgument],
      ["compressed without a compression", envelope(unaryBytes(), 1), {}, Code.InvalidArgument],
      ["an unknown compression", whole, { "grpc-encoding": "zstd" }, Code.Unimplemented],
      ["no protobuf", envelope(Buffer.alloc(40, 0xff)), {}, Code.InvalidArgument],
      ...["soon", "-1S", "1", "1x", "999999999S", ""].map(
        (timeout) =>
          [`timeout ${timeout}`, whole, { "grpc-timeout": timeout }, Code.InvalidArgument] as const,
      ),
    ];
    const wire = connectWire(bench().gateway.url);
    await inParallel(cases, async ([, body, headers, code]) => {
      const answer = await wire.call(COMPLETE, body, { ...authorization(), ...headers });
      expect(answer.grpcStatus).toBe(code);
    });
    wire.close();
  });

  it("is INVALID_ARGUMENT in every protocol when its text is no text, too deep or unknown", async () => {
    const hello = (json: string, replacement: string) =>
      Buffer.from(json.replace("hello", replacement), "latin1");
    const texts: readonly ((json: string) => Buffer)[] = [
      (json) => hello(json, "hell\u00ff"),
      (json) => hello(json, "\\ud800"),
      (json) => hello(json, "\\udc00x"),
      (json) => Buffer.from(json.replace('"model"', '"baseUrl":"http://evil","model"')),
      (json) => Buffer.from(json.replace('"hello"', `${"[".repeat(100_000)}${"]".repeat(100_000)}`)),
      () => Buffer.from("[".repeat(100_000)),
    ];
    const binaries: readonly ((bytes: Uint8Array) => Buffer)[] = [
      (bytes) => withBytes(bytes, "hello", [0x68, 0xc3, 0x28, 0x6c, 0x6f]),
      (bytes) => withBytes(bytes, "hello", [0x68, 0xed, 0xa0, 0x80, 0x6f]),
      () => Buffer.alloc(100_000, 0x7b),
    ];
    const bare = (body: Buffer) => body;
    const enveloped = (body: Buffer) => envelope(body);
    const protocols: readonly (readonly [
      type: string,
      path: string,
      frame: (body: Buffer) => Buffer,
      bodies: Buffer[],
    ])[] = [
      ["application/json", COMPLETE, bare, texts.map((change) => change(unaryJson()))],
      ["application/proto", COMPLETE, bare, binaries.map((change) => change(unaryBytes()))],
      ["application/grpc+json", COMPLETE, enveloped, texts.map((change) => change(unaryJson()))],
      ["application/grpc+proto", COMPLETE, enveloped, binaries.map((change) => change(unaryBytes()))],
      ["application/grpc-web+json", COMPLETE, enveloped, texts.map((change) => change(unaryJson()))],
      ["application/grpc-web+proto", COMPLETE, enveloped, binaries.map((change) => change(unaryBytes()))],
      ["application/grpc+proto", STREAM, enveloped, binaries.map((change) => change(streamBytes()))],
      ["application/connect+json", STREAM, enveloped, texts.map((change) => change(streamJson()))],
      ["application/connect+proto", STREAM, enveloped, binaries.map((change) => change(streamBytes()))],
    ];
    const wire = connectWire(bench().gateway.url);
    const cases = protocols.flatMap(([type, path, frame, bodies]) =>
      bodies.map((body, index) => ({ type, path, index, body: frame(body) })),
    );
    expect(cases.length).toBeGreaterThan(35);
    await inParallel(
      cases.map(({ body, ...named }) =>
        Object.defineProperty({ ...named, body }, "body", { enumerable: false }),
      ),
      async ({ type, path, body }) => {
        const {
          grpcStatus,
          httpStatus,
          body: answer,
        } = await wire.call(path, body, {
          ...{ ...authorization(), "content-type": type },
        });
        if (grpcStatus >= 0) expect(grpcStatus).toBe(Code.InvalidArgument);
        else if (type === "application/json" || type === "application/proto") expect(httpStatus).toBe(400);
        // A stream of Connect and gRPC-Web say it in their last frame.
        else expect(answer.toString("latin1")).toMatch(/"code":"invalid_argument"|grpc-status: 3\r\n/);
      },
    );
    wire.close();
  });
});

describe("headers that are too long, too many or ambiguous", () => {
  const long = (): Record<string, string> => ({ "x-long": "x".repeat(60_000) });
  const many = () => Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`x-many-${index}`, "1"]));
  /** Node's own clients cannot send a header twice over HTTP/2. */
  const two = (): Record<string, string> => ({ "x-api-key": "another" });

  it.each([
    ["60 kB", long],
    ["200 headers", many],
    ["two credentials", two],
    ["two authorization headers", () => ({ AUTHORIZATION: "Bearer another" })],
  ])("are refused over HTTP/1.1: %s", async (_, headers) => {
    const status = await new Promise<number | string>((resolve) => {
      const { port } = bench().gateway;
      const named = { host: "gateway", "content-type": "application/json", ...authorization(), ...headers() };
      const raw = [...Object.entries(named).flat(), "content-length", String(unaryJson().length)];
      const request = httpRequest({ host: "127.0.0.1", port, method: "POST", path: COMPLETE, headers: raw });
      request.on("response", (response) => resolve(response.resume().statusCode ?? 0));
      request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
      request.end(unaryJson());
    });
    expect([400, 401, 431, "ECONNRESET", "EPIPE"]).toContain(status);
  });

  it.each([
    ["60 kB", long],
    ["200 headers", many],
    ["two credentials", two],
  ])("are refused over HTTP/2: %s", async (_, headers) => {
    const session = connectHttp2(bench().gateway.url);
    session.on("error", () => {});
    const outcome = await new Promise<unknown>((resolve) => {
      const stream = session.request({
        ...{ ":method": "POST", ":path": COMPLETE, "content-type": "application/json" },
        ...authorization(),
        ...headers(),
      });
      stream.on("response", (received) => resolve(received[":status"]));
      stream.on("error", () => resolve("reset"));
      stream.end(unaryJson());
    });
    session.destroy();
    expect([400, 401, 431, "reset"]).toContain(outcome);
  });
});

describe("memory", () => {
  const MAX_GROWTH_KB = 32 * 1024;

  /** The most memory since the last call of this, in kB; Linux keeps it and lets it be reset. */
  function peakKb(): number {
    const { pid } = bench().gateway;
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    return Number(peak);
  }

  it.skipIf(process.platform !== "linux")(
    "does not grow by 32 MB through 20 lengths of 4 GiB and 3 gzip bombs",
    async () => {
      const bomb = gzipSync(Buffer.alloc(300_000_000));
      const wire = connectWire(bench().gateway.url);
      const attack = async () => {
        for (let call = 0; call < 20; call += 1) {
          const answer = await wire.call(
            COMPLETE,
            envelope(Buffer.alloc(1_000), 0, 0xffff_ffff),
            authorization(),
          );
          expect(answer.grpcStatus).toBe(Code.ResourceExhausted);
        }
        for (let call = 0; call < 3; call += 1) {
          const headers = { ...authorization(), "grpc-encoding": "gzip" };
          expect((await wire.call(COMPLETE, envelope(bomb, 1), headers)).grpcStatus).toBe(
            Code.ResourceExhausted,
          );
        }
      };
      // The first time loads and compiles code.
      await attack();
      peakKb();
      const before = peakKb();
      await attack();
      expect(peakKb() - before).toBeLessThan(MAX_GROWTH_KB);
      wire.close();
    },
  );
});

describe("slow and silent connections", () => {
  it("500 silent sockets and slow headers are closed within 10 s, while others are served", async () => {
    const { port } = bench().gateway;
    const startedMs = performance.now();
    const first = ["", "G", "POST / HTTP/1.1\r\nhost: a\r\n", "PRI * HTTP/2.0\r\n\r\n"];
    const closed = Array.from({ length: 500 }, (_, index) => {
      const socket = connectTcp(port, "127.0.0.1");
      socket.write(first[index % 50] ?? "");
      // One header after another, for ever.
      const trickle = index % 50 === 2 ? setInterval(() => socket.write("x: y\r\n"), 500) : undefined;
      return new Promise<number>((resolve) => {
        socket.on("error", () => {});
        socket.resume();
        socket.on("close", () => {
          clearInterval(trickle);
          resolve(performance.now() - startedMs);
        });
      });
    });
    const bystander = await bench().complete({ kind: "unary", model });
    expectedCalls += 1;
    expect(bystander.reason).toBeUndefined();
    expect(bystander.elapsedMs).toBeLessThan(1_000);
    expect(Math.max(...(await Promise.all(closed)))).toBeLessThan(10_000 + 500);
  }, 15_000);
});
