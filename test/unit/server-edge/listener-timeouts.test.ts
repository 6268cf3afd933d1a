import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";
import { expect, test } from "vitest";
import type { Handler } from "../../../src/server/edge/handler.ts";
import { answerVersion, connectRaw, fetchHttp2, startEdge, tlsFixture, until } from "./support/edge.ts";
import {
  connectRawHttp2,
  END_HEADERS,
  END_STREAM,
  encodeHeaders,
  FRAME_TYPE,
  GET_HEADERS,
  PREFACE,
} from "./support/raw-http2.ts";

/** Time that the machine may take on top of a limit. */
const SLACK_MS = 1_500;

/** Never answers, never reads the body. */
const silentHandler: Handler = () => undefined;

test("500 silent sockets are closed in time while others are served", async () => {
  const edge = await startEdge(answerVersion, { limits: { firstRequestTimeoutMs: 1_000 } });
  const clients = Array.from({ length: 500 }, () => connectRaw(edge.port));
  await until(() => edge.connections === 500);
  const bystander = await fetch(`http://127.0.0.1:${edge.port}/`);
  expect(bystander.status).toBe(200);
  const times = await Promise.all(clients.map((client) => client.closed));
  expect(Math.max(...times)).toBeLessThan(1_000 + SLACK_MS);
  expect(Math.min(...times)).toBeGreaterThan(800);
});

test.each([
  ["a part of the preface", PREFACE.subarray(0, 3)],
  ["the preface without SETTINGS", PREFACE],
  ["a part of a request line", Buffer.from("GET / HT")],
  ["headers without their end", Buffer.from("GET / HTTP/1.1\r\nhost: a\r\n")],
])("a connection that sends only %s is closed", async (_what, bytes) => {
  const edge = await startEdge(silentHandler);
  const client = connectRaw(edge.port);
  client.socket.write(bytes);
  expect(await client.closed).toBeLessThan(400 + SLACK_MS);
  await until(() => edge.connections === 0);
});

test("headers that trickle in are cut off, however steady", async () => {
  const edge = await startEdge(silentHandler);
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n");
  const trickle = setInterval(() => {
    if (!client.socket.destroyed) client.socket.write("x: y\r\n");
  }, 50);
  const closedAfterMs = await client.closed;
  clearInterval(trickle);
  expect(closedAfterMs).toBeLessThan(400 + SLACK_MS);
});

test("slow headers of a later request on a connection are cut off", async () => {
  const edge = await startEdge(answerVersion);
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT");
  expect(await client.closed).toBeLessThan(400 + SLACK_MS);
  expect(client.text()).toContain("200 OK");
  expect(client.text()).toContain("408");
});

test("a TLS handshake that never comes is cut off", async () => {
  const tls = { cert: tlsFixture("server.crt"), key: tlsFixture("server.key") };
  const edge = await startEdge(answerVersion, { tls });
  expect(await connectRaw(edge.port).closed).toBeLessThan(400 + SLACK_MS);
});

test.each(["h2", "http/1.1"])(
  "a TLS client of %s that is silent after the handshake is closed",
  async (alpn) => {
    const tls = { cert: tlsFixture("server.crt"), key: tlsFixture("server.key") };
    const edge = await startEdge(answerVersion, { tls });
    const openedAt = performance.now();
    const socket = connectTls({
      port: edge.port,
      host: "127.0.0.1",
      ca: tlsFixture("ca.crt"),
      ALPNProtocols: [alpn],
    });
    socket.on("error", () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(performance.now() - openedAt).toBeLessThan(400 + SLACK_MS);
    await until(() => edge.connections === 0);
  },
);

test("an idle HTTP/1 connection is closed after the keep-alive time", async () => {
  const edge = await startEdge(answerVersion, { limits: { keepAliveTimeoutMs: 200 } });
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  expect(await client.closed).toBeLessThan(2_000 + SLACK_MS);
  expect(client.text()).toContain("200 OK");
});

test("an idle HTTP/2 connection gets a GOAWAY and is closed, even if the peer keeps it half open", async () => {
  const edge = await startEdge(answerVersion, { limits: { http2IdleTimeoutMs: 200 } });
  const client = connectRawHttp2(edge.port);
  await client.frame((frame) => frame.type === FRAME_TYPE.GOAWAY);
  await until(() => edge.connections === 0);
});

test("an HTTP/2 connection whose call outlasts the idle time is closed only after it", async () => {
  let answer = (): void => undefined;
  const edge = await startEdge(
    (_request, response) => {
      answer = () => void response.end();
    },
    { limits: { http2IdleTimeoutMs: 100 } },
  );
  const client = connectRawHttp2(edge.port);
  client.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, 1, encodeHeaders(GET_HEADERS));
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(client.frames.some((frame) => frame.type === FRAME_TYPE.GOAWAY)).toBe(false);
  answer();
  await client.frame((frame) => frame.type === FRAME_TYPE.HEADERS && frame.streamId === 1);
  await client.frame((frame) => frame.type === FRAME_TYPE.GOAWAY);
});

test("a header block that never ends does not outlive the idle time", async () => {
  const edge = await startEdge(silentHandler, { limits: { http2IdleTimeoutMs: 200 } });
  const client = connectRawHttp2(edge.port);
  client.send(FRAME_TYPE.HEADERS, END_STREAM, 1, encodeHeaders(GET_HEADERS));
  expect(await client.closed).toBeLessThan(200 + 400 + SLACK_MS);
});

test("an HTTP/2 body that never ends is cancelled; the connection and the others live on", async () => {
  const edge = await startEdge(
    (request, response) => {
      if (request.method === "GET") answerVersion(request, response);
      else request.resume();
    },
    { limits: { requestTimeoutMs: 500 } },
  );
  const session = connectHttp2(`http://127.0.0.1:${edge.port}`);
  const upload = session.request({ ":method": "POST", ":path": "/" });
  upload.on("error", () => undefined);
  upload.write("a");
  await new Promise((resolve) => upload.once("close", resolve));
  const next = session.request({ ":path": "/" });
  const [headers] = await new Promise<unknown[]>((resolve) =>
    next.once("response", (...all) => resolve(all)),
  );
  expect(headers).toMatchObject({ ":status": 200 });
  session.destroy();
});

test("an HTTP/1 body that never ends is answered with 408", async () => {
  const edge = await startEdge(silentHandler, { limits: { requestTimeoutMs: 500 } });
  const client = connectRaw(edge.port);
  client.socket.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
  expect(await client.closed).toBeLessThan(500 + SLACK_MS);
});

test.each(["1.1", "2.0"])(
  "a long call over HTTP/%s whose request is complete outlasts the request time",
  async (version) => {
    const edge = await startEdge(
      (request, response) => {
        setTimeout(() => answerVersion(request, response), 600);
      },
      { limits: { requestTimeoutMs: 400, writeStallTimeoutMs: 200 } },
    );
    const origin = `http://127.0.0.1:${edge.port}`;
    const text =
      version === "2.0"
        ? (await fetchHttp2(origin, { ":method": "POST" }, { body: Buffer.from("{}") })).body.toString()
        : await (await fetch(origin, { method: "POST", body: "{}" })).text();
    expect(text).toBe(version);
  },
);

test("connections above the maximum are closed on arrival", async () => {
  const edge = await startEdge(silentHandler, {
    limits: { maxConnections: 2, firstRequestTimeoutMs: 5_000 },
  });
  const kept = [connectRaw(edge.port), connectRaw(edge.port)];
  await until(() => edge.connections === 2);
  expect(await connectRaw(edge.port).closed).toBeLessThan(SLACK_MS);
  expect(kept.every((client) => !client.socket.destroyed)).toBe(true);
  expect(edge.errors.map((error) => error.message)).toEqual(["too many connections"]);
});
