import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A server that keeps what it is told: to search through it, or to see that it was told nothing. */
export interface RecordingServer {
  readonly url: string;
  readonly port: number;
  /** TCP connections, also those on which nothing was sent. */
  readonly connections: number;
  /** Request lines, headers and bodies. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

export async function startRecordingServer(): Promise<RecordingServer> {
  const requests: string[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    const head = `${request.method} ${request.url} ${JSON.stringify(request.headers)}`;
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      requests.push(`${head}\n${Buffer.concat(parts).toString("latin1")}`);
      response.end("{}");
    });
  });
  server.on("connection", () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    get connections() {
      return connections;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
