import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, it } from "vitest";
import { STREAM_PATH } from "../../bench/requests.ts";
import { StreamCompleteRequestSchema } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../../gen/es/llmgateway/v1/content_pb.ts";
import { createGatewayClients } from "../support/completion-client.ts";
import { type EndlessProvider, startEndlessProvider } from "../support/endless-provider.ts";
import { ADMIN_KEY } from "../support/gateway-process.ts";
import { type GatewayUnderTest, MODEL, startGatewayUnderTest } from "../support/gateway-under-test.ts";
import { envelope } from "../support/grpc-wire.ts";
import { HEAP_PROBE_ENV, type HeapProbe, openHeapProbe } from "../support/heap-probe.ts";
import { scrape } from "../support/scrape.ts";

const READERS = 200;
/**
 * All that a reader costs: 75 KiB for its connections and call, and what is on its way in each layer: two reads of the
 * provider's socket, the text that an estimate would count, the queue of 64 KiB with the message that it grew into, and
 * the frames that HTTP/2 has not sent. Measured: 630 KiB. (A stream with its caller's own request id also keeps its
 * answer for repetitions, at most 1 MiB.)
 */
const MAX_BYTES_EACH = 720 * 1024;
/** `writeStallTimeoutMs` of the edge; the precision of its check, and what a machine with other work adds. */
const STALL_LIMIT_MS = 30_000;
const SLACK_MS = 500 + 5_000;

let provider: EndlessProvider;
let gateway: GatewayUnderTest;
let heap: HeapProbe;

beforeAll(async () => {
  provider = await startEndlessProvider();
  gateway = await startGatewayUnderTest({ env: { ...HEAP_PROBE_ENV, OPENAI_BASE_URL: provider.baseUrl } });
  heap = await openHeapProbe(gateway.process);
});
afterAll(async () => {
  heap.close();
  await provider.close();
  await gateway.stop();
});

/** Asks for a stream on a connection of its own, and reads nothing but its headers. */
async function readNothing(): Promise<ClientHttp2Session> {
  const session = connect(gateway.url);
  session.on("error", () => {});
  const stream = session.request({
    ...{ ":method": "POST", ":path": STREAM_PATH, "content-type": "application/grpc+proto", te: "trailers" },
    ...{ authorization: `Bearer ${ADMIN_KEY}`, "grpc-timeout": "5M" },
  });
  stream.on("error", () => {});
  const messages = [{ role: Role.USER, parts: [{ content: { case: "text" as const, value: "Go on." } }] }];
  const request = create(StreamCompleteRequestSchema, {
    request: { model: MODEL, messages },
  });
  stream.end(envelope(toBinary(StreamCompleteRequestSchema, request)));
  await once(stream, "response");
  return session;
}

it("readers that stop reading hold little memory, and are gone with their provider's calls after the stall limit", async () => {
  const inFlight = async () => (await scrape(gateway.url)).sum("llm_gateway_in_flight_requests");
  (await readNothing()).destroy();
  await expect.poll(inFlight, { timeout: 5_000 }).toBe(0);
  const before = await heap.liveBytes();

  const startedAtMs = performance.now();
  const readers = await Promise.all(Array.from({ length: READERS }, readNothing));
  const stoppedAtMs = performance.now();
  expect(await inFlight()).toBe(READERS);
  const heldEach = ((await heap.liveBytes()) - before) / READERS;
  expect(heldEach).toBeLessThan(MAX_BYTES_EACH);

  // Nobody is given up early, and nobody stays.
  const open = async () => (await inFlight()) + provider.open;
  await expect.poll(open, { timeout: STALL_LIMIT_MS + SLACK_MS, interval: 100 }).toBe(0);
  expect(performance.now() - startedAtMs).toBeGreaterThan(STALL_LIMIT_MS);
  expect(performance.now() - stoppedAtMs).toBeLessThan(STALL_LIMIT_MS + SLACK_MS);
  for (const session of readers) session.destroy();

  // Every one of them has its record: what had arrived is an estimate, and says so.
  const { totals } = await createGatewayClients(gateway.url).costs(ADMIN_KEY).costQuery({});
  expect(totals).toMatchObject({
    attempts: BigInt(READERS + 1),
    coverage: { estimated: { attempts: BigInt(READERS + 1) } },
  });
}, 120_000);
