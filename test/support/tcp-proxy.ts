import { createConnection, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** A cable between a client and a server, which can be slow, blocked or cut. */
export interface TcpProxy {
  readonly port: number;
  /** The URL with this proxy's host and port instead of its own. */
  through(url: string): string;
  /** Added to whatever the client sends from now on, and so to every round trip. @default 0 */
  delayMs: number;
  /** Connections stay and are accepted, but nothing passes in either direction, as when a cable is pulled. */
  block(): void;
  /** Ends all connections, and each new one at once. */
  cut(): void;
  /** As at first; what waited passes. */
  restore(): void;
  readonly connections: number;
  close(): Promise<void>;
}

/** Starts one on a free port, in front of a port of this machine. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  let passable = Promise.resolve();
  let unblock = () => {};
  const state = { delayMs: 0 };
  const endAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };

  function pump(from: Socket, to: Socket, delayOf: () => number): void {
    let last: Promise<unknown> = Promise.resolve();
    const afterAll = (work: () => void) => {
      last = Promise.all([last, delay(delayOf())])
        .then(() => passable)
        .then(work);
    };
    from.on("data", (chunk: Buffer) => afterAll(() => !to.destroyed && to.write(chunk)));
    from.on("end", () => afterAll(() => to.end()));
    from.on("error", () => {});
    from.on("close", () => afterAll(() => to.destroy()));
  }

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (isCut) {
      client.resetAndDestroy();
      return;
    }
    const target = createConnection({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true });
    const pair = [client, target] as const;
    pairs.add(pair);
    client.once("close", () => pairs.delete(pair));
    pump(client, target, () => state.delayMs);
    pump(target, client, () => 0);
  });
  const port = await listen(server);
  return {
    port,
    through(url) {
      const changed = new URL(url);
      changed.hostname = "127.0.0.1";
      changed.port = String(port);
      return changed.href;
    },
    get delayMs() {
      return state.delayMs;
    },
    set delayMs(value) {
      state.delayMs = value;
    },
    block() {
      ({ promise: passable, resolve: unblock } = Promise.withResolvers<void>());
    },
    cut() {
      isCut = true;
      endAll();
    },
    restore() {
      state.delayMs = 0;
      isCut = false;
      unblock();
    },
    get connections() {
      return pairs.size;
    },
    async close() {
      unblock();
      endAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("no port"));
      else resolve(address.port);
    });
  });
}
