import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the stand-in received it. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
  /** Resolves to the monotonic instant at which its socket closed. */
  readonly closed: Promise<number>;
}

/** What the stand-in does with a request; the request has been read in full. */
export type Script = (response: ServerResponse, request: ReceivedRequest) => void | Promise<void>;

/** A provider that speaks real HTTP on a free port and does what the test tells it. */
export class ScriptedProvider implements AsyncDisposable {
  readonly requests: ReceivedRequest[] = [];
  readonly #server: Server;
  #script: Script = (response) => void response.writeHead(500).end();
  #waiting: (() => void)[] = [];
  #connections = 0;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on("connection", (socket) => {
      this.#connections += 1;
      // Every request on a kept-alive socket listens for its end.
      socket.setMaxListeners(0);
    });
  }

  static async start(): Promise<ScriptedProvider> {
    const provider = new ScriptedProvider();
    provider.#server.listen(0, "127.0.0.1");
    await once(provider.#server, "listening");
    return provider;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many sockets were ever opened to it. */
  get connections(): number {
    return this.#connections;
  }

  /** Sets what is done with every request from now on, and forgets the requests before. */
  does(script: Script): void {
    this.#script = script;
    this.requests.length = 0;
  }

  /** Resolves when a request has been received in full. */
  async nextRequest(): Promise<ReceivedRequest> {
    while (this.requests.length === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.requests.at(-1) as ReceivedRequest;
  }

  /** The one request that was received. */
  get onlyRequest(): ReceivedRequest {
    const [request] = this.requests;
    if (request === undefined || this.requests.length !== 1) {
      throw new Error(`expected one request, received ${this.requests.length}`);
    }
    return request;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A test may cut the connection while the response is being written.
    response.on("error", () => {});
    const closed = new Promise<number>((resolve) => {
      request.socket.once("close", () => resolve(performance.now()));
    });
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const received: ReceivedRequest = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      body: Buffer.concat(chunks).toString("utf8"),
      closed,
    };
    this.requests.push(received);
    for (const resolve of this.#waiting.splice(0)) resolve();
    await this.#script(response, received);
  }
}
