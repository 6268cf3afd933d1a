import { CompletionService } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { GatewayError } from "../../core/errors.ts";
import type { CompletionCall, Gateway } from "../../core/gateway.ts";
import { completionEnd, endOfFailed } from "../convert/completion-end.ts";
import { accessOf } from "../rpc/method-access.ts";
import { RequestBody } from "../rpc/request-body.ts";
import { toChatCompletion } from "./chat-answer.ts";
import { type ChatRequest, ignoredHeaders, parseChatRequest } from "./chat-request.ts";
import { streamChat } from "./chat-stream.ts";
import { factHeaders } from "./gateway-facts.ts";
import { idempotencyId, type OpenAiCall, type WholeAnswer } from "./openai-call.ts";
import { authenticate, type OpenAiDependencies } from "./openai-dependencies.ts";

const ACCESS = accessOf(CompletionService.method.complete);

/** `POST /v1/chat/completions`, unary and streamed. */
export function serveChatCompletions(dependencies: OpenAiDependencies, call: OpenAiCall): void {
  const { gateway } = dependencies;
  call.onOverdue((error) => call.sendError(error));
  readChat(dependencies, call).then(
    (request) => {
      if (request.chat.streamed) void streamChat(gateway, call, request);
      else call.answer(completeChat(gateway, call, request));
    },
    (error: unknown) => {
      call.finish(error);
      call.sendError(error);
    },
  );
}

interface ReadChat {
  readonly chat: ChatRequest;
  readonly completion: CompletionCall;
}

/** The body is read for callers that may call, and for no others. */
async function readChat(dependencies: OpenAiDependencies, call: OpenAiCall): Promise<ReadChat> {
  const { limits } = dependencies;
  const { request } = call;
  await authenticate(dependencies, call, ACCESS);
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    throw new GatewayError("INVALID_REQUEST", "a compressed request is not understood");
  const body = new RequestBody(request, { maxMessageBytes: limits.maxBodyBytes, enveloped: false });
  call.onAbort((error) => body.fail(error));
  const chat = parseChatRequest(await body.whole);
  if (chat.streamed) call.startDeadline(limits, { streamed: true });
  return {
    chat,
    completion: {
      requestId: call.requestId,
      repeatable: idempotencyId(request) !== undefined,
      principal: call.principal,
      model: chat.model,
      fallbackModels: chat.fallbackModels,
      tags: { ...call.principal.tags, ...chat.tags },
      endUser: chat.endUser,
      input: chat.input,
      native: chat.native,
      deadlineAtMs: call.deadlineAtMs,
      signal: call.signal,
      telemetry: call.telemetry,
      onAdmitted: (status) => {
        call.limits = status;
      },
    },
  };
}

async function completeChat(
  gateway: Gateway,
  call: OpenAiCall,
  { chat, completion }: ReadChat,
): Promise<WholeAnswer> {
  try {
    const result = await gateway.complete(completion);
    const { requestId } = call;
    call.completed(completionEnd(chat.model, result, false));
    const headers = factHeaders({ ...result, requestId });
    if (result.native !== undefined) return { headers, body: result.native };
    // Of a replayed answer it is not known what its provider was told.
    const ignored = result.replayed ? {} : ignoredHeaders(chat);
    return {
      headers: { ...headers, ...ignored },
      body: toChatCompletion(result, { requestId, createdAt: new Date() }),
    };
  } catch (error) {
    call.completed(completionEnd(chat.model, endOfFailed(error), false));
    throw error;
  }
}
