import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Accounts } from "./accounts.ts";
import { Bill } from "./bill.ts";
import { handleChat } from "./chat-handler.ts";
import { type Controlled, handleControl } from "./control.ts";
import { ActiveCalls, type CallEvent } from "./exchange.ts";
import { openaiWire } from "./openai-wire.ts";
import { PERSONALITIES, type Personality, type PersonalityName } from "./personalities.ts";
import { RequestLog } from "./request-log.ts";
import type { Script } from "./script.ts";
import { ScriptBook } from "./script-book.ts";

export interface SimulatorOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Default 0: a free one. */
  readonly port?: number | undefined;
  /** Bill lines are appended here, fsynced before the last byte of the answer. */
  readonly billFile?: string | undefined;
  /** Bill lines kept in memory; default 200,000. */
  readonly maxBillLines?: number | undefined;
  /** What a call does unless something else is said. Default: 16 tokens at once. */
  readonly script?: Script | undefined;
  /** Told of what happens to every call, at once; it must be quick. */
  readonly onEvent?: ((event: CallEvent) => void) | undefined;
  /** Lets clients that are not on this machine use `/_control/…`. Default false. */
  readonly allowRemoteControl?: boolean | undefined;
}

export interface Simulator {
  /** `http://host:port`, without a path. */
  readonly url: string;
  readonly port: number;
  readonly bill: Bill;
  readonly requests: RequestLog;
  readonly scripts: ScriptBook;
  /** The base URL to configure for a provider, such as `http://127.0.0.1:4010/openai/v1`. */
  baseUrl(personality: PersonalityName): string;
  /** Resolves when no call is in progress, so that the bill is complete. */
  whenIdle(): Promise<void>;
  /** Cuts calls in progress (they are billed as interrupted), closes the port and the bill file. May be called twice. */
  close(): Promise<void>;
}

/** What a path of the simulator stands for. */
interface Route {
  readonly personality: Personality;
  readonly kind: "chat" | "models";
}

const MAX_BODY_BYTES = 32 * 1024 * 1024;
/** Longer than any client's pool keeps an idle connection, so that the server is never the one to close first. */
const KEEP_ALIVE_MS = 120_000;
const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

/** What a path stands for; undefined when for nothing. */
function findRoute(path: string): Route | undefined {
  for (const personality of PERSONALITIES) {
    for (const basePath of personality.basePaths) {
      if (!path.startsWith(basePath)) continue;
      const rest = path.slice(basePath.length);
      if (personality.completionPath.test(rest)) return { personality, kind: "chat" };
      const { alsoSpeaks } = personality;
      if (alsoSpeaks?.completionPath.test(rest))
        return { personality: { ...personality, ...alsoSpeaks }, kind: "chat" };
      if (rest === "/models") return { personality, kind: "models" };
    }
  }
  return undefined;
}

function sendJson(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(
    response,
    status,
    openaiWire.errorBody({ status, message, type: "invalid_request_error", code: undefined }),
  );
}

/** Collects the body as text; a body that is too long is answered 413, one that breaks off is dropped. */
function withBody(request: IncomingMessage, response: ServerResponse, take: (body: string) => void): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  request.on("data", (part: Buffer) => {
    bytes += part.length;
    if (bytes <= MAX_BODY_BYTES) parts.push(part);
  });
  request.on("end", () => {
    if (bytes > MAX_BODY_BYTES) return sendError(response, 413, "Request body is too large.");
    const [only] = parts;
    take((parts.length === 1 && only ? only : Buffer.concat(parts)).toString());
  });
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

function createHandler(controlled: Controlled, allowRemoteControl: boolean): Handler {
  const run = randomBytes(4).toString("hex");
  let calls = 0;

  const handleChatRoute = (
    personality: Personality,
    request: IncomingMessage,
    response: ServerResponse,
  ): void => {
    const startedAt = Date.now();
    calls += 1;
    const callId = `sim-${run}-${calls}`;
    withBody(request, response, (body) => {
      handleChat(controlled, { personality, request, response, body, callId, startedAt });
    });
  };

  return (request, response) => {
    const [path = ""] = (request.url ?? "").split("?", 1);
    if (path.startsWith("/_control/")) {
      if (!allowRemoteControl && !LOOPBACK.test(request.socket.remoteAddress ?? "")) {
        return sendError(response, 403, "The control endpoints answer only on the simulator's own machine.");
      }
      return withBody(request, response, (body) => {
        void handleControl(controlled, request, response, body);
      });
    }
    const route = findRoute(path);
    if (!route) return sendError(response, 404, `Invalid URL (${request.method} ${path})`);
    if (request.method !== (route.kind === "chat" ? "POST" : "GET")) {
      return sendError(response, 405, `Not allowed to ${request.method} on ${path}`);
    }
    if (route.kind === "models") return sendJson(response, 200, JSON.stringify(route.personality.models()));
    handleChatRoute(route.personality, request, response);
  };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("the simulator has no port"));
      else resolve(address);
    });
  });
}

/**
 * Starts a simulator of several LLM providers.
 * @throws the system's error when the port or the bill file cannot be opened.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { host = "127.0.0.1", port: wantedPort = 0, allowRemoteControl = false } = options;
  const bill = new Bill({ file: options.billFile, maxLines: options.maxBillLines });
  const active = new ActiveCalls();
  const controlled = {
    ...{ bill, active, accounts: new Accounts(), onEvent: options.onEvent },
    ...{ requests: new RequestLog(), scripts: new ScriptBook(options.script) },
  };
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0, noDelay: true },
    createHandler(controlled, allowRemoteControl),
  );
  const { port } = await listen(server, host, wantedPort);
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;

  const closeAll = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    await active.whenIdle();
    bill.close();
  };
  let closing: Promise<void> | undefined;
  return {
    url,
    port,
    bill,
    requests: controlled.requests,
    scripts: controlled.scripts,
    baseUrl(name) {
      const personality = PERSONALITIES.find((candidate) => candidate.name === name);
      return `${url}${personality?.basePath ?? ""}`;
    },
    whenIdle: () => active.whenIdle(),
    close() {
      closing ??= closeAll();
      return closing;
    },
  };
}
