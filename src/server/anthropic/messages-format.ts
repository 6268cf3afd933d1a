import type { CompletionFormat } from "../compatible/completion-format.ts";
import { toMessage } from "./message-answer.ts";
import { MessageStreamWriter } from "./message-stream.ts";
import { ignoredMessagesMembers, type MessagesRequest, parseMessagesRequest } from "./messages-request.ts";

/** `POST /v1/messages`. */
export const messagesFormat: CompletionFormat<MessagesRequest> = {
  parse: parseMessagesRequest,
  ignoredMembers: ignoredMessagesMembers,
  toAnswer: ({ showsThinking }, result, requestId) => toMessage(result, { requestId, showsThinking }),
  createStream: ({ showsThinking }, requestId) => new MessageStreamWriter({ requestId, showsThinking }),
};
