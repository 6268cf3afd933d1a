import type { CompletionFormat } from "../compatible/completion-format.ts";
import { toChatCompletion } from "./chat-answer.ts";
import { type ChatRequest, ignoredChatMembers, parseChatRequest } from "./chat-request.ts";
import { ChatStreamWriter } from "./chat-stream.ts";

/** `POST /v1/chat/completions`. */
export const chatFormat: CompletionFormat<ChatRequest> = {
  parse: parseChatRequest,
  ignoredMembers: ignoredChatMembers,
  toAnswer: (_, result, requestId) => toChatCompletion(result, { requestId, createdAt: new Date() }),
  createStream: ({ includeUsage }, requestId) => new ChatStreamWriter(requestId, includeUsage),
};
