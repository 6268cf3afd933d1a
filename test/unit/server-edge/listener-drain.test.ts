import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { type EdgeResponse, type Handler, isHttp2 } from "../../../src/server/edge/handler.ts";
import { answerVersion, connectRaw, startEdge, tlsFixture, until } from "./support/edge.ts";
import {
  connectRawHttp2,
  END_HEADERS,
  END_STREAM,
  encodeHeaders,
  FRAME_TYPE,
  GET_HEADERS,
} from "./support/raw-http2.ts";

/** Keeps every answer until it is told to give it. */
function createHeldAnswers(): { handler: Handler; held: EdgeResponse[]; release(): void } {
  const held: EdgeResponse[] = [];
  return {
    handler: (_request, response) => void held.push(response),
    held,
    release() {
      for (const response of held.splice(0)) {
        response.statusCode = 200;
        if (isHttp2(response)) response.end("done");
        else response.end("done");
      }
    },
  };
}

test("draining says GOAWAY and waits for the HTTP/2 call in flight", async () => {
  const answers = createHeldAnswers();
  const edge = await startEdge(answers.handler);
  const session = connectHttp2(`http://127.0.0.1:${edge.port}`);
  const goaway = new Promise<number>((resolve) => session.once("goaway", (code) => resolve(code)));
  const stream = session.request({ ":path": "/" });
  let body = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    body += text;
  });
  const ended = new Promise((resolve) => stream.once("end", resolve));
  await until(() => answers.held.length === 1);

  const startedAt = performance.now();
  const drained = edge.drain(10_000);
  expect(await goaway).toBe(0);
  expect(edge.connections).toBe(1);
  answers.release();
  await ended;
  expect(body).toBe("done");
  await drained;
  expect(edge.connections).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test("the GOAWAY names the last stream that is served, so that later ones can be sent elsewhere", async () => {
  const answers = createHeldAnswers();
  const edge = await startEdge(answers.handler);
  const client = connectRawHttp2(edge.port);
  client.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, 1, encodeHeaders(GET_HEADERS));
  await until(() => answers.held.length === 1);
  const drained = edge.drain(10_000);
  client.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, 3, encodeHeaders(GET_HEADERS));
  const goaway = await client.frame((frame) => frame.type === FRAME_TYPE.GOAWAY);
  expect(goaway.payload.readUInt32BE(0)).toBe(1);
  answers.release();
  await client.frame((frame) => frame.type === FRAME_TYPE.HEADERS && frame.streamId === 1);
  await drained;
  expect(client.frames.some((frame) => frame.streamId === 3)).toBe(false);
});

test("a connection that is just being set up is told as well", async () => {
  const edge = await startEdge(answerVersion);
  const client = connectRawHttp2(edge.port);
  await client.frame((frame) => frame.type === FRAME_TYPE.SETTINGS && frame.flags === 0);
  const drained = edge.drain(10_000);
  await client.frame((frame) => frame.type === FRAME_TYPE.GOAWAY);
  await drained;
});

test("draining waits for the HTTP/1 call in flight and closes its connection", async () => {
  const answers = createHeldAnswers();
  const edge = await startEdge(answers.handler);
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await until(() => answers.held.length === 1);
  const drained = edge.drain(10_000);
  answers.release();
  await client.closed;
  expect(client.text().toLowerCase()).toContain("connection: close");
  expect(client.text()).toContain("done");
  await drained;
});

test("an HTTP/1 stream that had begun ends whole, and then its connection", async () => {
  let finish = (): void => undefined;
  const edge = await startEdge((_request, response) => {
    if (isHttp2(response)) return;
    response.write("first,");
    finish = () => void response.end("last");
  });
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await until(() => client.text().includes("first"));
  const drained = edge.drain(10_000);
  finish();
  await Promise.all([drained, client.closed]);
  expect(client.text()).toContain("last");
  expect(client.text().endsWith("0\r\n\r\n")).toBe(true);
});

test.each([
  ["cleartext", undefined],
  ["TLS", { cert: tlsFixture("server.crt"), key: tlsFixture("server.key") }],
])(
  "idle and silent %s connections do not hold the drain up, and new ones are refused",
  async (_what, tls) => {
    const edge = await startEdge(answerVersion, {
      tls,
      limits: { firstRequestTimeoutMs: 60_000, tlsHandshakeTimeoutMs: 60_000 },
    });
    const silent = connectRaw(edge.port);
    await until(() => edge.connections === 1);
    const startedAt = performance.now();
    const drained = edge.drain(tls === undefined ? 10_000 : 300);
    await silent.closed;
    await drained;
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    await expect(fetch(`http://127.0.0.1:${edge.port}/`)).rejects.toThrow();
  },
);

test("what is not done within the grace is cut off", async () => {
  const answers = createHeldAnswers();
  const edge = await startEdge(answers.handler);
  const http1 = connectRaw(edge.port);
  http1.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  const http2 = connectRawHttp2(edge.port);
  http2.send(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, 1, encodeHeaders(GET_HEADERS));
  await until(() => answers.held.length === 2);
  await edge.drain(200);
  await Promise.all([http1.closed, http2.closed]);
  expect(edge.connections).toBe(0);
});

test("close ends everything at once, and may be called again", async () => {
  const answers = createHeldAnswers();
  const edge = await startEdge(answers.handler);
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await until(() => answers.held.length === 1);
  const startedAt = performance.now();
  await edge.close();
  await edge.close();
  await edge.drain(1_000);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(edge.connections).toBe(0);
});

const TRANSPORTS = {
  cleartext: { scheme: "http", tls: undefined },
  TLS: { scheme: "https", tls: { cert: tlsFixture("server.crt"), key: tlsFixture("server.key") } },
};

test.each(Object.entries(TRANSPORTS))(
  "%s: callers that are sending see an end, and no reset",
  async (_name, { scheme, tls }) => {
    const answers = createHeldAnswers();
    const edge = await startEdge(answers.handler, { tls });
    const session = connectHttp2(`${scheme}://localhost:${edge.port}`, { ca: tlsFixture("ca.crt") });
    const stream = session.request({ ":path": "/" });
    const closed = new Promise((resolve) => stream.once("close", () => resolve(stream.rstCode)));
    await until(() => answers.held.length === 1);
    const drained = edge.drain(10_000);
    await once(session, "goaway");
    session.ping(() => undefined);
    // By then the PING is on its way, and no one has read it yet.
    await new Promise((resolve) => setImmediate(resolve));
    const startedAt = performance.now();
    await edge.hangUp();
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(await closed).toBe(constants.NGHTTP2_CANCEL);
    await drained;
    expect(edge.errors).toEqual([]);
  },
);

test("hanging up does not wait for callers that stay", async () => {
  const answers = createHeldAnswers();
  const edge = await startEdge(answers.handler);
  const client = connect({ port: edge.port, host: "127.0.0.1", allowHalfOpen: true });
  client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  const ended = once(client.resume(), "end");
  await until(() => answers.held.length === 1);
  const startedAt = performance.now();
  await edge.hangUp();
  await ended;
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(edge.connections).toBe(1);
  await edge.close();
});
