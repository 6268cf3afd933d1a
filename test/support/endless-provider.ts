import { createServer } from "node:http";

/** A provider whose streams never end: it writes as fast as it is read. */
export interface EndlessProvider {
  readonly baseUrl: string;
  /** Calls whose connection is open. */
  readonly open: number;
  close(): Promise<void>;
}

/** One delta of 64 tokens, in an event of the usual size. */
const EVENT = `data: ${JSON.stringify({
  ...{ id: "chatcmpl-endless", object: "chat.completion.chunk", created: 1, model: "sim-model" },
  choices: [{ index: 0, delta: { content: "w00 ".repeat(64) }, finish_reason: null }],
})}\n\n`;

export async function startEndlessProvider(): Promise<EndlessProvider> {
  let open = 0;
  const server = createServer((request, response) => {
    open += 1;
    response.on("close", () => {
      open -= 1;
    });
    request.resume();
    response.writeHead(200, { "content-type": "text/event-stream" });
    const write = (): void => {
      while (!response.destroyed && response.write(EVENT));
      response.once("drain", write);
    };
    write();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    baseUrl: `http://127.0.0.1:${address.port}/v1`,
    get open() {
      return open;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
