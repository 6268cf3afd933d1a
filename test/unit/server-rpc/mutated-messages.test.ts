import { toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CompleteRequestSchema } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { connectWire, envelope, type WireClient } from "../../support/grpc-wire.ts";
import { createRandom, mutate, seedMessage } from "../../support/mutate.ts";
import { startRpcServer, type TestRpcServer } from "../../support/rpc-server.ts";

const COMPLETE = "/llmgateway.v1.CompletionService/Complete";
const SEED = 20_261_123;
const BINARY_MESSAGES = 14_000;
const JSON_MESSAGES = 6_000;
const IN_FLIGHT = 64;

/** What a mutated message may be answered with: it may still be valid. */
const EXPECTED: ReadonlySet<number> = new Set([
  0,
  Code.InvalidArgument,
  Code.ResourceExhausted,
  Code.Unimplemented,
]);

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

async function sendAll(
  count: number,
  send: (index: number) => Promise<number>,
): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const status = await send(next++);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return statuses;
}

test.each([
  ["protobuf", "application/grpc+proto", toBinary(CompleteRequestSchema, seedMessage), BINARY_MESSAGES],
  [
    "JSON",
    "application/grpc+json",
    Buffer.from(toJsonString(CompleteRequestSchema, seedMessage)),
    JSON_MESSAGES,
  ],
])(
  "mutated messages in %s are never an internal error",
  async (_format, contentType, seed, count) => {
    const random = createRandom(SEED);
    const statuses = await sendAll(count, async () => {
      const message = mutate(seed, random);
      // One in ten has a wrong envelope as well.
      const body = random(10) === 0 ? mutate(envelope(message), random) : envelope(message);
      const answer = await wire.call(COMPLETE, body, { "content-type": contentType });
      return answer.grpcStatus;
    });
    for (const status of statuses.keys()) expect(EXPECTED).toContain(status);
    expect(statuses.get(Code.InvalidArgument)).toBeGreaterThan(count / 4);
    expect(statuses.get(0)).toBeGreaterThan(0);
  },
  60_000,
);
