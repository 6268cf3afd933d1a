import { create, toBinary, toJson } from "@bufbuild/protobuf";
import { CompleteRequestSchema, StreamCompleteRequestSchema } from "../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../gen/es/llmgateway/v1/content_pb.ts";

/**
 * A short question, as most requests are. 200 ASCII bytes, which the simulator counts as 50 tokens; it has nothing
 * for the provider's cache, so that the cost of a call is the same every time.
 */
const PROMPT = "Say in one sentence why the sky is blue and why the sunset is red. "
  .repeat(3)
  .padEnd(200, ".")
  .slice(0, 200);
export const TOKENS_IN: bigint = 50n;

/** One use of the gateway. Each has a model of its own, by which the ledger and the bill tell them apart. */
export interface Workload {
  readonly model: string;
  readonly tokensOut: number;
  /** Pause of the upstream between two tokens. */
  readonly tokenDelayMs: number;
}

export const UNARY: Workload = { model: "sim-model", tokensOut: 16, tokenDelayMs: 0 };
export const STREAM: Workload = { model: "demo-model", tokensOut: 50, tokenDelayMs: 0 };
const OPEN_STREAM_MODEL = "gpt-5-mini";

/** Streams that are held open for a while. */
export function openStreamWorkload(tokensOut: number): Workload {
  return { model: OPEN_STREAM_MODEL, tokensOut, tokenDelayMs: 500 };
}

/** The provider name and the simulator's personality that the gateway calls. */
export const GATEWAY_PROVIDER = "openai";
/** The personality that is called directly, so that the gateway's bill stays its own. */
export const DIRECT_PERSONALITY = "deepseek";

export const COMPLETE_PATH = "/llmgateway.v1.CompletionService/Complete";
export const STREAM_PATH = "/llmgateway.v1.CompletionService/StreamComplete";

export const CHAT_PATH = "/v1/chat/completions";

/** Tag of the field `finished` of `StreamCompleteResponse` (field 5, length-delimited): the last event begins with it. */
export const FINISHED_TAG: number = (5 << 3) | 2;

function completeRequest(workload: Workload) {
  return create(CompleteRequestSchema, {
    model: `${GATEWAY_PROVIDER}/${workload.model}`,
    messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: PROMPT } }] }],
    maxOutputTokens: 100,
    tags: { team: "bench" },
  });
}

const streamRequest = (workload: Workload) =>
  create(StreamCompleteRequestSchema, { request: completeRequest(workload) });

export const unaryProto = (workload: Workload): Uint8Array =>
  toBinary(CompleteRequestSchema, completeRequest(workload));

export const streamProto = (workload: Workload): Uint8Array =>
  toBinary(StreamCompleteRequestSchema, streamRequest(workload));

export const unaryJson = (workload: Workload): Uint8Array =>
  Buffer.from(JSON.stringify(toJson(CompleteRequestSchema, completeRequest(workload))));

/** In the envelope that Connect streams have. */
export function streamJson(workload: Workload): Uint8Array {
  const json = Buffer.from(JSON.stringify(toJson(StreamCompleteRequestSchema, streamRequest(workload))));
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(json.length, 1);
  return Buffer.concat([envelope, json]);
}

/** The same question in the provider's own dialect. */
export function directJson(workload: Workload, stream: boolean): Uint8Array {
  return Buffer.from(JSON.stringify(chatRequest(workload.model, stream)));
}

/** The same to the gateway's OpenAI-compatible API. */
export function openAiJson(workload: Workload, stream: boolean): Uint8Array {
  const request = chatRequest(`${GATEWAY_PROVIDER}/${workload.model}`, stream);
  return Buffer.from(JSON.stringify({ ...request, metadata: { team: "bench" } }));
}

function chatRequest(model: string, stream: boolean) {
  return {
    model,
    messages: [{ role: "user", content: PROMPT }],
    max_completion_tokens: 100,
    ...(stream && { stream: true, stream_options: { include_usage: true } }),
  };
}
