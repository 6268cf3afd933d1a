import {
  CompletionService,
  type StreamCompleteRequest,
  type StreamCompleteResponse,
} from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import type { StreamDelta } from "../../core/completion.ts";
import type { CompletionSink, Gateway } from "../../core/gateway.ts";
import { completionEnd, endOfFailed } from "../convert/completion-end.ts";
import { completionFromProto, recoveryFromProto } from "../convert/completion-from-proto.ts";
import {
  completionToProto,
  event,
  failedToProto,
  finishedToProto,
  restartedToProto,
  startedToProto,
} from "../convert/completion-to-proto.ts";
import { throwViolation } from "../convert/violations.ts";
import type { AuthenticatedCall } from "../rpc/call-context.ts";
import { type RpcMethod, serverStreaming, unary } from "../rpc/rpc-method.ts";
import type { StreamQueue } from "../rpc/stream-queue.ts";

/** About what the framing of a small event takes. */
const EVENT_BYTES = 32;

/** `CompletionService`. */
export function completionMethods(gateway: Gateway): readonly RpcMethod[] {
  const { complete, streamComplete } = CompletionService.method;
  return [
    unary(
      complete,
      async (request, call) => {
        const completion = completionFromProto(request, call);
        try {
          const result = await gateway.complete(completion);
          call.completed(completionEnd(request.model, result, false));
          return completionToProto(call.requestId, result);
        } catch (error) {
          call.completed(completionEnd(request.model, endOfFailed(error), false));
          throw error;
        }
      },
      (request) => request.requestId,
    ),
    serverStreaming(
      streamComplete,
      (message, call, out) => stream(gateway, message, call, out),
      (message) => message.request?.requestId,
    ),
  ];
}

/**
 * Streams a completion. `finished` is the last message, also when the call then fails; a call that fails before a
 * provider was called sends none, so that callers may retry it as if nothing had happened.
 */
async function stream(
  gateway: Gateway,
  message: StreamCompleteRequest,
  call: AuthenticatedCall,
  out: StreamQueue<StreamCompleteResponse>,
): Promise<void> {
  const { request } = message;
  if (!request) throwViolation("request", "required", "is required");
  const recovery = recoveryFromProto(message.recovery);
  const completion = { ...completionFromProto(request, call, "request."), recovery };
  out.lastWord = () => failedToProto(call.requestId, endOfFailed(undefined));
  try {
    const result = await gateway.stream(completion, sinkInto(out, call.requestId));
    call.completed(completionEnd(request.model, result, true));
    out.push(finishedToProto(call.requestId, result), EVENT_BYTES);
  } catch (error) {
    const end = endOfFailed(error);
    call.completed(completionEnd(request.model, end, true));
    if (end.attempts.length > 0 || out.pushed > 0) out.push(failedToProto(call.requestId, end), EVENT_BYTES);
    throw error;
  }
}

function sinkInto(out: StreamQueue<StreamCompleteResponse>, requestId: string): CompletionSink {
  return {
    recovery: {
      expected() {},
      possible: true,
      restarted(provider, model, reason) {
        out.push(restartedToProto({ provider, model, reason }), EVENT_BYTES);
      },
    },
    started(provider, model) {
      out.push(startedToProto(requestId, provider, model), EVENT_BYTES);
    },
    deltas(deltas) {
      for (const delta of deltas) pushDelta(out, delta);
      return out.full();
    },
  };
}

/** Adds to the newest event when the reader has not taken it yet: fewer, larger messages for a slow reader. */
function pushDelta(out: StreamQueue<StreamCompleteResponse>, delta: StreamDelta): void {
  const { choiceIndex } = delta;
  switch (delta.kind) {
    case "text":
    case "reasoning": {
      const { text } = delta;
      const eventCase = delta.kind === "text" ? "textDelta" : "reasoningDelta";
      const last = out.unread?.event;
      if (last?.case === eventCase && last.value.choiceIndex === choiceIndex) {
        last.value.text += text;
        out.grew(text.length);
        return;
      }
      const value =
        delta.kind === "text"
          ? event({
              case: "textDelta",
              value: { $typeName: "llmgateway.v1.TextDelta", choiceIndex, text },
            })
          : event({
              case: "reasoningDelta",
              value: { $typeName: "llmgateway.v1.ReasoningDelta", choiceIndex, text },
            });
      out.push(value, EVENT_BYTES + text.length);
      return;
    }
    case "tool_call": {
      const { toolIndex, id = "", name = "", argumentsDelta } = delta;
      const last = out.unread?.event;
      const continues =
        last?.case === "toolCallDelta" &&
        last.value.choiceIndex === choiceIndex &&
        last.value.toolIndex === toolIndex;
      if (continues && id === "" && name === "") {
        last.value.argumentsDelta += argumentsDelta;
        out.grew(argumentsDelta.length);
        return;
      }
      out.push(
        event({
          case: "toolCallDelta",
          value: {
            $typeName: "llmgateway.v1.ToolCallDelta",
            choiceIndex,
            toolIndex,
            id,
            name,
            argumentsDelta,
          },
        }),
        EVENT_BYTES + argumentsDelta.length,
      );
      return;
    }
    default:
      delta satisfies never;
  }
}
