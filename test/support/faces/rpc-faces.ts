import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import {
  type CompleteResponse,
  CompleteResponseSchema,
  CompletionService,
  type FinishReason,
  FinishReasonSchema,
  type StreamCompleteResponse,
} from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../../../gen/es/llmgateway/v1/content_pb.ts";
import { FailedCompletionSchema } from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import type { Face, FaceCall, FaceOutcome } from "./face.ts";

type Told = Omit<FaceOutcome, "elapsedMs">;

const NOTHING: Omit<Told, "status" | "reason"> = {
  ...{ message: "", text: "", finishReason: undefined, provider: "", attemptsTold: 0, attempts: [] },
  retryAfterMs: undefined,
};

/** gRPC over HTTP/2. */
export function createGrpcFace(): Face {
  const timeout = (timeoutMs: number) => ({ "grpc-timeout": `${timeoutMs}m` });
  const clientOf = clientsOf((baseUrl) => createGrpcTransport({ baseUrl }));
  return {
    name: "gRPC",
    success: "OK",
    statusOf: ({ code }) => code,
    complete: (call) =>
      timed(() => {
        const client = clientOf(call.url);
        const headers = headersOf(call, timeout);
        return call.kind === "unary" ? unary(client, call, headers) : stream(client, call, headers);
      }),
  };
}

/** JSON over HTTP/1.1: a unary call as one would write it by hand, a stream with Connect's envelopes. */
export function createConnectJsonFace(): Face {
  const timeout = (timeoutMs: number) => ({ "connect-timeout-ms": String(timeoutMs) });
  const clientOf = clientsOf((baseUrl) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  );
  return {
    name: "Connect JSON",
    success: "OK",
    statusOf: ({ code, http }, { kind }) => (kind === "unary" ? String(http) : code),
    complete: (call) =>
      timed(() => {
        const headers = headersOf(call, timeout);
        return call.kind === "unary" ? unaryJson(call, headers) : stream(clientOf(call.url), call, headers);
      }),
  };
}

/** One client for each gateway, so that a call does not begin with a new connection. */
function clientsOf(createTransport: (url: string) => Transport) {
  const clients = new Map<string, Client<typeof CompletionService>>();
  return (url: string) => {
    const client = clients.get(url) ?? createClient(CompletionService, createTransport(url));
    clients.set(url, client);
    return client;
  };
}

async function timed(work: () => Promise<Told>): Promise<FaceOutcome> {
  const startedMs = performance.now();
  const told = await work();
  return { ...told, elapsedMs: performance.now() - startedMs };
}

type Headers = Readonly<Record<string, string>>;

function headersOf(
  { secret, timeoutMs }: FaceCall,
  timeout: (timeoutMs: number) => Headers,
): Record<string, string> {
  return { authorization: `Bearer ${secret}`, ...(timeoutMs === undefined ? {} : timeout(timeoutMs)) };
}

const messageOf = ({ requestId, model, fallbackModels = [] }: FaceCall) => ({
  ...{ requestId, model, fallbackModels: [...fallbackModels] },
});

const requestOf = (call: FaceCall) => ({
  ...messageOf(call),
  messages: [{ role: Role.USER, parts: [{ content: { case: "text" as const, value: call.text } }] }],
});

async function unary(
  client: Client<typeof CompletionService>,
  call: FaceCall,
  headers: Headers,
): Promise<Told> {
  try {
    return answered(await client.complete(requestOf(call), { headers }));
  } catch (error) {
    return failed(NOTHING, ConnectError.from(error));
  }
}

async function unaryJson(call: FaceCall, headers: Headers): Promise<Told> {
  const response = await fetch(`${call.url}/llmgateway.v1.CompletionService/Complete`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({
      ...messageOf(call),
      messages: [{ role: "ROLE_USER", parts: [{ text: call.text }] }],
    }),
  });
  const json = (await response.json()) as JsonValue;
  if (response.ok) return answered(fromJson(CompleteResponseSchema, json));
  const fallback = new ConnectError(`HTTP ${response.status}`, Code.Unknown);
  const error = errorFromJson(json, response.headers, fallback);
  return { ...failed(NOTHING, error), status: String(response.status) };
}

function answered({ choices: [choice], provider, attempts }: CompleteResponse): Told {
  const parts = choice?.message?.parts ?? [];
  return {
    ...NOTHING,
    ...{ status: "OK", reason: undefined, provider, attempts, attemptsTold: attempts.length },
    text: parts.map(({ content }) => (content.case === "text" ? content.value : "")).join(""),
    finishReason: nameOf(choice?.finishReason),
  };
}

async function stream(
  client: Client<typeof CompletionService>,
  call: FaceCall,
  headers: Headers,
): Promise<Told> {
  let told: Omit<Told, "status" | "reason"> = NOTHING;
  try {
    for await (const { event } of client.streamComplete({ request: requestOf(call) }, { headers }))
      told = withEvent(told, event);
    return { ...told, status: "OK", reason: undefined };
  } catch (error) {
    return failed(told, ConnectError.from(error));
  }
}

function withEvent(told: Omit<Told, "status" | "reason">, event: StreamCompleteResponse["event"]) {
  if (event.case === "started") return { ...told, provider: event.value.provider };
  if (event.case === "textDelta") return { ...told, text: told.text + event.value.text };
  if (event.case !== "finished") return told;
  const { attempts, finishReason } = event.value;
  return { ...told, attempts, attemptsTold: attempts.length, finishReason: nameOf(finishReason) };
}

/** The error carries the attempts, unless a stream had begun, whose last message told them. */
function failed(told: Omit<Told, "status" | "reason">, error: ConnectError): Told {
  const attempts = error.findDetails(FailedCompletionSchema)[0]?.attempts ?? told.attempts;
  const [retry] = error.findDetails(RetryInfoSchema);
  const { seconds = 0n, nanos = 0 } = retry?.retryDelay ?? {};
  return {
    ...told,
    ...{ attempts, attemptsTold: attempts.length, finishReason: undefined },
    provider: attempts.at(-1)?.provider ?? told.provider,
    message: error.rawMessage,
    status: codeName(error.code),
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason ?? `the client saw ${Code[error.code]}`,
    retryAfterMs: retry ? Number(seconds) * 1_000 + nanos / 1e6 : undefined,
  };
}

const nameOf = (reason: FinishReason | undefined) =>
  reason === undefined ? undefined : FinishReasonSchema.value[reason]?.localName;

/** `FailedPrecondition` as gRPC writes it. */
const codeName = (code: Code) => Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
