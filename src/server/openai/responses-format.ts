import type { CompletionFormat } from "../compatible/completion-format.ts";
import { toResponse } from "./responses-answer.ts";
import { parseResponsesRequest, type ResponsesRequest } from "./responses-request.ts";
import { ResponsesStreamWriter } from "./responses-stream.ts";

/** `POST /v1/responses`. It is relayed, never translated: only repetitions are written here. */
export const responsesFormat: CompletionFormat<ResponsesRequest> = {
  parse: parseResponsesRequest,
  ignoredMembers: () => [],
  toAnswer: (result, requestId, request) =>
    JSON.stringify(toResponse(result, { request, requestId, createdAt: new Date() })),
  createStream: (request, requestId) => new ResponsesStreamWriter(request, requestId),
};
