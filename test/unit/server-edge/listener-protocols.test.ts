import { request as httpsRequest } from "node:https";
import { expect, test } from "vitest";
import { answerVersion, connectRaw, fetchHttp2, startEdge, tlsFixture, until } from "./support/edge.ts";
import {
  connectRawHttp2,
  END_HEADERS,
  END_STREAM,
  encodeFrame,
  encodeHeaders,
  FRAME_TYPE,
  GET_HEADERS,
  PREFACE,
} from "./support/raw-http2.ts";

const tls = { cert: tlsFixture("server.crt"), key: tlsFixture("server.key") };
const ca = tlsFixture("ca.crt");

function fetchHttps(port: number, options: { cert?: Buffer; key?: Buffer } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest({ host: "127.0.0.1", port, ca, ...options, agent: false }, (response) => {
      response.setEncoding("utf8");
      let text = "";
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    });
    request.on("error", reject);
    request.end();
  });
}

test("HTTP/1.1 and HTTP/2 are served on one cleartext port", async () => {
  const edge = await startEdge(answerVersion);
  const http1 = await fetch(`http://127.0.0.1:${edge.port}/`);
  expect(await http1.text()).toBe("1.1");
  const http2 = await fetchHttp2(`http://127.0.0.1:${edge.port}`, {});
  expect(http2.body.toString()).toBe("2.0");
});

test("a preface that comes byte by byte is still HTTP/2", async () => {
  const edge = await startEdge(answerVersion, { limits: { firstRequestTimeoutMs: 5_000 } });
  const client = connectRaw(edge.port);
  client.socket.setNoDelay(true);
  for (const byte of PREFACE) {
    client.socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.socket.write(encodeFrame(FRAME_TYPE.SETTINGS, 0, 0));
  client.socket.write(
    encodeFrame(FRAME_TYPE.HEADERS, END_HEADERS | END_STREAM, 1, encodeHeaders(GET_HEADERS)),
  );
  await until(() => client.text().includes("2.0"));
  client.socket.destroy();
});

test("an HTTP/1 request that begins like the preface is served", async () => {
  const edge = await startEdge(answerVersion);
  const client = connectRaw(edge.port);
  client.socket.write("PR");
  await new Promise((resolve) => setTimeout(resolve, 20));
  client.socket.write("OPFIND / HTTP/1.1\r\nhost: a\r\n\r\n");
  await until(() => client.text().includes("200 OK"));
  client.socket.destroy();
});

test("pipelined HTTP/1 requests in the first packet are all served", async () => {
  const edge = await startEdge(answerVersion);
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3));
  await until(() => client.text().split("200 OK").length === 4);
  client.socket.destroy();
});

test("TLS clients get the protocol that they negotiate", async () => {
  const edge = await startEdge(answerVersion, { tls });
  expect(await fetchHttps(edge.port)).toBe("1.1");
  const http2 = await fetchHttp2(`https://127.0.0.1:${edge.port}`, {}, { ca });
  expect(http2.body.toString()).toBe("2.0");
  await until(() => edge.connections === 0);
});

test("cleartext on a TLS port is refused", async () => {
  const edge = await startEdge(answerVersion, { tls });
  const client = connectRaw(edge.port);
  client.socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await client.closed;
  expect(client.text()).not.toContain("200");
  expect(edge.errors.length).toBe(1);
});

test("with a client authority only clients with its certificate are served", async () => {
  const edge = await startEdge(answerVersion, { tls: { ...tls, clientCa: ca } });
  const known = { cert: tlsFixture("client.crt"), key: tlsFixture("client.key") };
  const stranger = { cert: tlsFixture("stranger.crt"), key: tlsFixture("stranger.key") };
  expect(await fetchHttps(edge.port, known)).toBe("1.1");
  const http2 = await fetchHttp2(`https://127.0.0.1:${edge.port}`, {}, { ca, ...known });
  expect(http2.body.toString()).toBe("2.0");
  await expect(fetchHttps(edge.port)).rejects.toThrow();
  await expect(fetchHttps(edge.port, stranger)).rejects.toThrow();
  await expect(fetchHttp2(`https://127.0.0.1:${edge.port}`, {}, { ca, ...stranger })).rejects.toThrow();
});

test("connections are counted until they close, also half-closed HTTP/2 ones", async () => {
  const edge = await startEdge(answerVersion);
  const client = connectRawHttp2(edge.port);
  await client.frame((frame) => frame.type === FRAME_TYPE.SETTINGS);
  expect(edge.connections).toBe(1);
  client.socket.end();
  await until(() => edge.connections === 0);
});

test("a port that is taken is an error", async () => {
  const edge = await startEdge(answerVersion);
  const { listen } = await import("../../../src/server/edge/listener.ts");
  const { SHORT_LIMITS } = await import("./support/edge.ts");
  await expect(
    listen({ host: "127.0.0.1", port: edge.port, limits: SHORT_LIMITS, handler: answerVersion }),
  ).rejects.toThrow(/EADDRINUSE/);
});
