import { connect, createServer, type Socket } from "node:net";
import { WRITE_STATEMENT_NAME } from "../../../src/ledger/write-statement.ts";

/**
 * The way of one batch of records to the database: `sent` when the statement is on its way, `answered` when the
 * database has committed it and the gateway does not know yet, `told` when the gateway was given the answer.
 */
export type ShipStep = "sent" | "answered" | "told";

export interface PostgresProxy {
  /** The database through the proxy. */
  readonly url: string;
  close(): Promise<void>;
}

/** Passes everything on, and tells of each step of a ledger write at once, before the next byte moves. */
export async function startPostgresProxy(
  databaseUrl: string,
  onStep: (step: ShipStep) => void,
): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let writing = false;
    client.on("data", (chunk) => {
      upstream.write(chunk);
      if (!chunk.includes(WRITE_STATEMENT_NAME)) return;
      writing = true;
      onStep("sent");
    });
    upstream.on("data", (chunk) => {
      const answers = writing;
      writing = false;
      if (answers) onStep("answered");
      client.write(chunk);
      if (answers) onStep("told");
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay();
      // The other end of what a kill cut; the close follows.
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const url = new URL(databaseUrl);
  url.port = String(address.port);
  return {
    url: url.href,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
