import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../gen/es/google/rpc/error_details_pb.ts";
import {
  type CompleteRequest,
  CompleteRequestSchema,
  CompleteResponseSchema,
  CompletionService,
  Recovery,
} from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../../gen/es/llmgateway/v1/content_pb.ts";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import type { ErrorReason } from "../../gen/es/llmgateway/v1/error_reason_pb.ts";
import { KeyService } from "../../gen/es/llmgateway/v1/key_pb.ts";
import {
  type Attempt,
  type Cost,
  FailedCompletionSchema,
  type Usage,
} from "../../gen/es/llmgateway/v1/usage_pb.ts";

/** Unary by Connect JSON over HTTP/1.1, streams by gRPC over HTTP/2. */
export type CallKind = "unary" | "stream";
export const CALL_KINDS: readonly CallKind[] = ["unary", "stream"];

export interface CompletionOptions {
  readonly kind: CallKind;
  readonly secret: string;
  readonly requestId: string;
  readonly model: string;
  readonly fallbackModels?: readonly string[] | undefined;
  readonly text: string;
  readonly maxOutputTokens?: number | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly endUser?: string | undefined;
  /** Sent as a header only: no timer of the client's own runs, so that what is measured is the gateway's. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of a stream. */
  readonly recovery?: Recovery | undefined;
  /** Told of every piece of text of a stream. */
  readonly onText?: ((text: string) => void) | undefined;
}

/** How a completion ended for its caller, the same for both kinds of call. */
export interface CompletionOutcome {
  readonly requestId: string;
  readonly elapsedMs: number;
  /** `ErrorInfo.reason`; undefined when the call succeeded. */
  readonly reason: string | undefined;
  readonly error: ConnectError | undefined;
  readonly text: string;
  readonly provider: string;
  readonly attempts: readonly Attempt[];
  readonly usage: Usage | undefined;
  readonly cost: Cost | undefined;
  /** It is what an earlier call got. */
  readonly replayed: boolean;
  /** Messages of a stream; 0 of a unary call. */
  readonly events: number;
  /** Why a stream began anew, each time. */
  readonly restarts: readonly ErrorReason[];
}

export interface GatewayClients {
  complete(options: CompletionOptions): Promise<CompletionOutcome>;
  readonly costs: (secret: string) => Client<typeof CostService>;
  readonly keys: (secret: string) => Client<typeof KeyService>;
}

const NOTHING: Omit<CompletionOutcome, "requestId" | "elapsedMs" | "reason" | "error"> = {
  ...{ text: "", provider: "", attempts: [], usage: undefined, cost: undefined, replayed: false, events: 0 },
  restarts: [],
};

/** A lean client of one gateway. */
export function createGatewayClients(url: string): GatewayClients {
  const transportFor = (secret: string) =>
    createGrpcTransport({
      baseUrl: url,
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${secret}`);
          return next(request);
        },
      ],
    });
  const streams = createClient(CompletionService, createGrpcTransport({ baseUrl: url }));
  return {
    complete: (options) =>
      options.kind === "unary" ? completeUnary(url, options) : completeStream(streams, options),
    costs: (secret) => createClient(CostService, transportFor(secret)),
    keys: (secret) => createClient(KeyService, transportFor(secret)),
  };
}

async function completeUnary(url: string, options: CompletionOptions): Promise<CompletionOutcome> {
  const startedMs = performance.now();
  const { requestId, timeoutMs } = options;
  const ended = { ...NOTHING, requestId };
  try {
    const response = await fetch(`${url}/llmgateway.v1.CompletionService/Complete`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${options.secret}`,
        ...(timeoutMs === undefined ? {} : { "connect-timeout-ms": String(timeoutMs) }),
      },
      body: JSON.stringify(jsonRequestOf(options)),
      signal: options.signal ?? null,
    });
    const json = (await response.json()) as JsonValue;
    const elapsedMs = performance.now() - startedMs;
    if (!response.ok) {
      const error = errorFromJson(
        json,
        response.headers,
        new ConnectError(`HTTP ${response.status}`, Code.Unknown),
      );
      return { ...ended, elapsedMs, ...failureOf(error) };
    }
    const answer = fromJson(CompleteResponseSchema, json);
    const parts = answer.choices[0]?.message?.parts ?? [];
    const text = parts.map(({ content }) => (content.case === "text" ? content.value : "")).join("");
    const { provider, attempts, usage, cost, replayed } = answer;
    return {
      ...ended,
      elapsedMs,
      reason: undefined,
      error: undefined,
      text,
      provider,
      attempts,
      usage,
      cost,
      replayed,
    };
  } catch (thrown) {
    const error = ConnectError.from(thrown, options.signal?.aborted ? Code.Canceled : Code.Unknown);
    return { ...ended, elapsedMs: performance.now() - startedMs, ...failureOf(error) };
  }
}

async function completeStream(
  client: Client<typeof CompletionService>,
  options: CompletionOptions,
): Promise<CompletionOutcome> {
  const startedMs = performance.now();
  const { requestId, timeoutMs, signal } = options;
  let ended: Omit<CompletionOutcome, "elapsedMs" | "reason" | "error"> = { ...NOTHING, requestId };
  const elapsed = () => ({ elapsedMs: performance.now() - startedMs });
  try {
    const headers = {
      authorization: `Bearer ${options.secret}`,
      ...(timeoutMs === undefined ? {} : { "grpc-timeout": `${timeoutMs}m` }),
    };
    const events = client.streamComplete(
      { request: requestOf(options), recovery: options.recovery ?? Recovery.UNSPECIFIED },
      { headers, ...(signal ? { signal } : {}) },
    );
    for await (const { event } of events) {
      ended = { ...ended, events: ended.events + 1 };
      if (event.case === "started") ended = { ...ended, provider: event.value.provider };
      else if (event.case === "restarted") {
        const { provider, reason } = event.value;
        ended = { ...ended, provider, text: "", restarts: [...ended.restarts, reason] };
      } else if (event.case === "textDelta") {
        ended = { ...ended, text: ended.text + event.value.text };
        options.onText?.(event.value.text);
      } else if (event.case === "finished") {
        const { attempts, usage, cost, replayed } = event.value;
        ended = { ...ended, attempts, usage, cost, replayed };
      }
    }
    return { ...ended, ...elapsed(), reason: undefined, error: undefined };
  } catch (thrown) {
    const failure = failureOf(ConnectError.from(thrown));
    // A stream tells its attempts in its last message, a call that never began to answer in the error.
    const attempts = ended.attempts.length > 0 ? ended.attempts : (failure.attempts ?? []);
    return { ...ended, ...elapsed(), ...failure, attempts };
  }
}

function failureOf(error: ConnectError) {
  const [failed] = error.findDetails(FailedCompletionSchema);
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? `client saw ${Code[error.code]}`;
  return {
    error,
    reason,
    ...(failed && {
      attempts: failed.attempts,
      usage: failed.usage,
      cost: failed.cost,
      replayed: failed.replayed,
    }),
  };
}

function requestOf(options: CompletionOptions): CompleteRequest {
  const { requestId, model, fallbackModels = [], tags = {}, endUser = "", maxOutputTokens } = options;
  return create(CompleteRequestSchema, {
    ...{ requestId, model, tags, endUser },
    fallbackModels: [...fallbackModels],
    messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: options.text } }] }],
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
  });
}

/** As a caller without generated code would write it. */
function jsonRequestOf(options: CompletionOptions): JsonValue {
  const { requestId, model, fallbackModels = [], tags = {}, endUser = "", maxOutputTokens, text } = options;
  return {
    ...{ requestId, model, tags, endUser },
    fallbackModels: [...fallbackModels],
    messages: [{ role: "ROLE_USER", parts: [{ text }] }],
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
  };
}
