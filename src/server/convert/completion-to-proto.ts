import {
  type Choice as ChoiceProto,
  type CompleteResponse,
  FinishReason as FinishReasonProto,
  type StreamCompleteResponse,
  type StreamFinished,
} from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import {
  ImageDetail as ImageDetailProto,
  type Image as ImageProto,
  type Message as MessageProto,
  type Part as PartProto,
  Role,
} from "../../../gen/es/llmgateway/v1/content_pb.ts";
import type {
  Choice,
  FinishReason,
  ImageDetail,
  Message,
  MessagePart,
  MessageRole,
} from "../../core/completion.ts";
import type { ErrorReason } from "../../core/error-table.ts";
import type { CompletionResult, StreamResult } from "../../core/gateway.ts";
import { attemptsToProto, errorReasonToProto } from "./usage-to-proto.ts";

/** The answer to a unary completion. */
export function completionToProto(requestId: string, result: CompletionResult): CompleteResponse {
  return {
    $typeName: "llmgateway.v1.CompleteResponse",
    requestId,
    provider: result.provider,
    model: result.model,
    choices: result.choices.map(choiceToProto),
    ...attemptsToProto(result.attempts),
    replayed: result.replayed,
  };
}

/** The first event of a stream. */
export function startedToProto(requestId: string, provider: string, model: string): StreamCompleteResponse {
  return event({
    case: "started",
    value: { $typeName: "llmgateway.v1.StreamStarted", requestId, provider, model },
  });
}

/** The event after which an answer begins anew. */
export function restartedToProto(restart: {
  readonly provider: string;
  readonly model: string;
  readonly reason: ErrorReason;
}): StreamCompleteResponse {
  const reason = errorReasonToProto(restart.reason);
  return event({
    case: "restarted",
    value: { $typeName: "llmgateway.v1.StreamRestarted", ...restart, reason },
  });
}

/** The last event of a stream that ended well. */
export function finishedToProto(requestId: string, result: StreamResult): StreamCompleteResponse {
  const choices = result.finishReasons.map(({ choiceIndex, finishReason }) => ({
    $typeName: "llmgateway.v1.ChoiceFinish" as const,
    choiceIndex,
    finishReason: finishReasonToProto(finishReason),
  }));
  const finishReason = choices[0]?.finishReason ?? FinishReasonProto.UNSPECIFIED;
  return finished(requestId, { choices, finishReason }, result);
}

/** The last event of a stream that failed; the status of the call says why. */
export function failedToProto(
  requestId: string,
  end: Pick<StreamResult, "attempts" | "replayed">,
): StreamCompleteResponse {
  return finished(requestId, { choices: [], finishReason: FinishReasonProto.ERROR }, end);
}

function finished(
  requestId: string,
  end: Pick<StreamFinished, "choices" | "finishReason">,
  { attempts, replayed }: Pick<StreamResult, "attempts" | "replayed">,
): StreamCompleteResponse {
  const value: StreamFinished = {
    $typeName: "llmgateway.v1.StreamFinished",
    requestId,
    ...end,
    ...attemptsToProto(attempts),
    replayed,
  };
  return event({ case: "finished", value });
}

/** Wraps an event. */
export function event(value: StreamCompleteResponse["event"]): StreamCompleteResponse {
  return { $typeName: "llmgateway.v1.StreamCompleteResponse", event: value };
}

function choiceToProto(choice: Choice): ChoiceProto {
  return {
    $typeName: "llmgateway.v1.Choice",
    index: choice.index,
    message: messageToProto(choice.message),
    finishReason: finishReasonToProto(choice.finishReason),
  };
}

function messageToProto(message: Message): MessageProto {
  return {
    $typeName: "llmgateway.v1.Message",
    role: roleToProto(message.role),
    parts: message.parts.map(partToProto),
    name: message.name ?? "",
  };
}

function partToProto(part: MessagePart): PartProto {
  return { $typeName: "llmgateway.v1.Part", content: contentToProto(part) };
}

function contentToProto(part: MessagePart): PartProto["content"] {
  switch (part.kind) {
    case "text":
    case "refusal":
    case "reasoning":
      return { case: part.kind, value: part.text };
    case "image":
      return { case: "image", value: imageToProto(part) };
    case "tool_call": {
      const { id, name, argumentsJson } = part;
      return { case: "toolCall", value: { $typeName: "llmgateway.v1.ToolCall", id, name, argumentsJson } };
    }
    case "tool_result": {
      const { toolCallId, text } = part;
      return { case: "toolResult", value: { $typeName: "llmgateway.v1.ToolResult", toolCallId, text } };
    }
    default:
      return part satisfies never;
  }
}

function imageToProto({ source, detail }: Extract<MessagePart, { kind: "image" }>): ImageProto {
  const image = { $typeName: "llmgateway.v1.Image" as const, detail: detailToProto(detail) };
  if (source.kind === "url") return { ...image, source: { case: "url", value: source.url } };
  // What decoding made is never backed by shared memory; the type of the core does not say so.
  const data = source.bytes as Uint8Array<ArrayBuffer>;
  const inline = { $typeName: "llmgateway.v1.InlineImage" as const, data, mediaType: source.mediaType };
  return { ...image, source: { case: "inline", value: inline } };
}

function detailToProto(detail: ImageDetail | undefined): ImageDetailProto {
  switch (detail) {
    case "low":
      return ImageDetailProto.LOW;
    case "high":
      return ImageDetailProto.HIGH;
    case "auto":
    case undefined:
      return ImageDetailProto.UNSPECIFIED;
    default:
      return detail satisfies never;
  }
}

function roleToProto(role: MessageRole): Role {
  switch (role) {
    case "system":
      return Role.SYSTEM;
    case "user":
      return Role.USER;
    case "assistant":
      return Role.ASSISTANT;
    case "tool":
      return Role.TOOL;
    default:
      return role satisfies never;
  }
}

function finishReasonToProto(reason: FinishReason): FinishReasonProto {
  switch (reason) {
    case "stop":
      return FinishReasonProto.STOP;
    case "length":
      return FinishReasonProto.LENGTH;
    case "tool_calls":
      return FinishReasonProto.TOOL_CALLS;
    case "content_filter":
      return FinishReasonProto.CONTENT_FILTER;
    default:
      return reason satisfies never;
  }
}
