import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterAll } from "vitest";
import { UNREACHABLE } from "./cases/unreachable.ts";
import { describeFaults } from "./describe-faults.ts";

const TLS = join(import.meta.dirname, "../fixtures/tls");

const servers: Server[] = [];
const sockets = new Set<Socket>();

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.on("connection", (socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

const close = (server: Server) => new Promise((resolve) => server.close(resolve));

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.map(close));
});

describeFaults(UNREACHABLE, async () => {
  const [cert, key] = ["server.crt", "server.key"].map((name) => readFileSync(join(TLS, name), "utf8"));
  const gone = createServer();
  const refused = await listen(gone);
  await close(gone);
  const untrusted = await listen(createTlsServer({ cert, key }));
  const plaintext = await listen(createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
  const group = (baseUrl: string) => ({ profile: "openai" as const, baseUrl });
  return {
    refused: group(`http://127.0.0.1:${refused}/v1`),
    // Longer than a label of a name may be: it is known not to exist without asking a server that may be slow.
    nameless: group(`http://${"a".repeat(64)}.invalid/v1`),
    // Accepts the connection and never says a word.
    handshake: group(`https://127.0.0.1:${await listen(createServer())}/v1`),
    untrusted: group(`https://127.0.0.1:${untrusted}/v1`),
    plaintext: group(`https://127.0.0.1:${plaintext}/v1`),
  };
});
