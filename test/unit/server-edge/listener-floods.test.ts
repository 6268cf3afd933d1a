import { connect as connectHttp2 } from "node:http2";
import { expect, test } from "vitest";
import {
  answerVersion,
  connectRaw,
  createLargeAnswer,
  fetchHttp2,
  startEdge,
  until,
} from "./support/edge.ts";
import {
  ACK,
  connectRawHttp2,
  END_HEADERS,
  END_STREAM,
  encodeHeaders,
  FRAME_TYPE,
  GET_HEADERS,
  type RawHttp2,
} from "./support/raw-http2.ts";

const GET = encodeHeaders(GET_HEADERS);

function rapidReset(client: RawHttp2): void {
  const cancel = Buffer.from([0, 0, 0, 8]);
  for (let streamId = 1; streamId < 6_000; streamId += 2) {
    client.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, streamId, GET);
    client.send(FRAME_TYPE.RST_STREAM, 0, streamId, cancel);
  }
}

function continuationFlood(client: RawHttp2): void {
  client.send(FRAME_TYPE.HEADERS, END_STREAM, 1, GET);
  const field = encodeHeaders([["x-flood", "a".repeat(1_000)]]);
  for (let sent = 0; sent < 2_000; sent += 1) client.send(FRAME_TYPE.CONTINUATION, 0, 1, field);
}

/** The peer reads nothing, so that the answers pile up. */
function pingFlood(client: RawHttp2): void {
  client.socket.pause();
  for (let sent = 0; sent < 200_000; sent += 1) client.send(FRAME_TYPE.PING, 0, 0, Buffer.alloc(8));
}

function settingsFlood(client: RawHttp2): void {
  client.socket.pause();
  for (let sent = 0; sent < 200_000; sent += 1) client.send(FRAME_TYPE.SETTINGS, 0, 0);
}

function invalidFrames(client: RawHttp2): void {
  for (let sent = 0; sent < 2_000; sent += 1) client.send(FRAME_TYPE.DATA, 0, 1, Buffer.from("x"));
}

test.each([
  ["rapid reset", rapidReset],
  ["CONTINUATION flood", continuationFlood],
  ["PING flood", pingFlood],
  ["SETTINGS flood", settingsFlood],
  ["flood of frames for no stream", invalidFrames],
])("a %s ends in a closed connection while a bystander is served", async (_what, flood) => {
  const edge = await startEdge(answerVersion);
  const bystander = connectHttp2(`http://127.0.0.1:${edge.port}`);
  const attacker = connectRawHttp2(edge.port);
  await attacker.frame((frame) => frame.type === FRAME_TYPE.SETTINGS);
  flood(attacker);
  const answered = new Promise((resolve, reject) => {
    const stream = bystander.request({ ":path": "/" });
    stream.on("response", resolve);
    stream.on("error", reject);
  });
  expect(await answered).toMatchObject({ ":status": 200 });
  attacker.socket.resume();
  await attacker.closed;
  await until(() => edge.connections === 1);
  expect(await fetchHttp2(`http://127.0.0.1:${edge.port}`, {})).toMatchObject({ status: 200 });
  bystander.destroy();
});

test("streams above the maximum are refused and those below it served", async () => {
  const answers: (() => void)[] = [];
  const edge = await startEdge((_request, response) => answers.push(() => response.end()), {
    limits: { http2MaxConcurrentStreams: 3 },
  });
  const client = connectRawHttp2(edge.port);
  for (const streamId of [1, 3, 5, 7]) {
    client.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, streamId, GET);
  }
  const refused = await client.frame((frame) => frame.type === FRAME_TYPE.RST_STREAM);
  expect(refused.streamId).toBe(7);
  expect(refused.payload.readUInt32BE(0)).toBe(7); // REFUSED_STREAM
  expect(answers.length).toBe(3);
  for (const answer of answers) answer();
  for (const streamId of [1, 3, 5]) {
    await client.frame((frame) => frame.type === FRAME_TYPE.HEADERS && frame.streamId === streamId);
  }
});

test("a peer that knows the maximum of streams and exceeds it loses its connection", async () => {
  const edge = await startEdge(() => undefined, { limits: { http2MaxConcurrentStreams: 3 } });
  const client = connectRawHttp2(edge.port);
  await client.frame((frame) => frame.type === FRAME_TYPE.SETTINGS && frame.flags === 0);
  client.send(FRAME_TYPE.SETTINGS, ACK, 0);
  for (const streamId of [1, 3, 5, 7]) {
    client.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, streamId, GET);
  }
  await client.closed;
});

test("an HTTP/2 stream whose peer takes nothing is reset; its connection and the other streams live on", async () => {
  const closed: string[] = [];
  const edge = await startEdge(createLargeAnswer(closed), { limits: { writeStallTimeoutMs: 300 } });
  const session = connectHttp2(`http://127.0.0.1:${edge.port}`);
  const stalled = session.request({ ":path": "/megabyte" });
  stalled.on("error", () => undefined);
  await new Promise((resolve) => stalled.once("response", resolve));
  await until(() => closed.includes("/megabyte"));
  const other = session.request({ ":path": "/small" });
  const headers = await new Promise((resolve) => other.once("response", resolve));
  expect(headers).toMatchObject({ ":status": 200 });
  // The connection answers its PING, so it is kept.
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(session.destroyed).toBe(false);
  session.destroy();
});

test("a client that cancels many streams with unsent data is moved to a new connection, and loses no call", async () => {
  const closed: string[] = [];
  const edge = await startEdge(createLargeAnswer(closed));
  const session = connectHttp2(`http://127.0.0.1:${edge.port}`);
  let drained = false;
  session.once("goaway", () => {
    drained = true;
  });
  for (let call = 0; call < 30 && !drained; call += 1) {
    const cancelled = session.request({ ":path": "/megabyte" });
    cancelled.on("error", () => undefined);
    await new Promise((resolve) => cancelled.once("response", resolve));
    cancelled.close();
    await until(() => closed.filter((path) => path === "/megabyte").length === call + 1);
    if (drained || session.closed) break;
    const next = session.request({ ":path": "/" });
    const headers = await new Promise((resolve, reject) => {
      next.once("response", resolve);
      next.once("error", reject);
    });
    expect(headers).toMatchObject({ ":status": 200 });
  }
  await until(() => drained);
  session.destroy();
});

test("an HTTP/2 connection that reads nothing at all is closed", async () => {
  const closed: string[] = [];
  const edge = await startEdge(createLargeAnswer(closed), { limits: { writeStallTimeoutMs: 300 } });
  // A window that would take everything, so that only the socket holds it back.
  const settings = Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]);
  const client = connectRawHttp2(edge.port, { settings, reads: false });
  client.send(FRAME_TYPE.WINDOW_UPDATE, 0, 0, Buffer.from([0x7f, 0, 0, 0]));
  client.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, 1, encodeHeaders(withPath("/large")));
  await until(() => closed.includes("/large"));
  await until(() => edge.connections === 0);
});

test("an HTTP/1 connection that reads nothing is closed", async () => {
  const closed: string[] = [];
  const edge = await startEdge(createLargeAnswer(closed), { limits: { writeStallTimeoutMs: 300 } });
  const client = connectRaw(edge.port);
  client.socket.pause();
  client.socket.write("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
  await until(() => closed.includes("/large"));
  await until(() => edge.connections === 0);
});

test("a slow reader that goes on reading gets everything, in both protocols", async () => {
  const edge = await startEdge(createLargeAnswer([]), { limits: { writeStallTimeoutMs: 400 } });
  const session = connectHttp2(`http://127.0.0.1:${edge.port}`);
  const stream = session.request({ ":path": "/chunks" });
  const raw = connectRaw(edge.port);
  raw.socket.write("GET /chunks HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    stream.pause();
    setTimeout(() => stream.resume(), 20);
  });
  raw.socket.on("data", () => {
    raw.socket.pause();
    setTimeout(() => raw.socket.resume(), 20);
  });
  await Promise.all([new Promise((resolve) => stream.once("end", resolve)), raw.closed]);
  expect(bytes).toBe(64 * 16 * 1024);
  expect(raw.text().length).toBeGreaterThan(64 * 16 * 1024);
  session.destroy();
});

function withPath(path: string): (readonly [string, string])[] {
  return GET_HEADERS.map(([name, value]) => (name === ":path" ? [name, path] : [name, value]));
}
