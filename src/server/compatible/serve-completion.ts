import { CompletionService } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import type { CompletionCall, Gateway } from "../../core/gateway.ts";
import { completionEnd, endOfFailed } from "../convert/completion-end.ts";
import { accessOf } from "../rpc/method-access.ts";
import type { CompatibleCall, WholeAnswer } from "./compatible-call.ts";
import { authenticate, type CompatibleDependencies, readBody } from "./compatible-dependencies.ts";
import type { CompatibleRequest, CompletionFormat } from "./completion-format.ts";
import { streamCompletion } from "./completion-stream.ts";
import { factHeaders, ignoredHeaders } from "./gateway-facts.ts";
import { toGatewayCall } from "./to-gateway-call.ts";

const ACCESS = accessOf(CompletionService.method.complete);

/** Serves a completion, unary or streamed, in the words of one API. */
export function serveCompletion<R extends CompatibleRequest>(
  dependencies: CompatibleDependencies,
  call: CompatibleCall,
  format: CompletionFormat<R>,
): void {
  call.onOverdue((error) => call.sendError(error));
  readCompletion(dependencies, call, format).then(
    (asked) => {
      if (asked.request.streamed) void streamCompletion(dependencies, call, asked);
      else call.answer(complete(dependencies.gateway, call, asked));
    },
    (error: unknown) => {
      call.finish(error);
      call.sendError(error);
    },
  );
}

interface Asked<R extends CompatibleRequest> {
  readonly format: CompletionFormat<R>;
  readonly request: R;
  readonly completion: CompletionCall;
}

/** The body is read for callers that may call, and for no others. */
async function readCompletion<R extends CompatibleRequest>(
  dependencies: CompatibleDependencies,
  call: CompatibleCall,
  format: CompletionFormat<R>,
): Promise<Asked<R>> {
  await authenticate(dependencies, call, ACCESS);
  const request = format.parse(await readBody(dependencies, call), call.request.headers);
  if (request.streamed) call.startDeadline(dependencies.limits, { streamed: true });
  const { input, native } = request;
  const recovery = call.recovery();
  return { format, request, completion: { ...toGatewayCall(call, request), input, native, recovery } };
}

async function complete<R extends CompatibleRequest>(
  gateway: Gateway,
  call: CompatibleCall,
  { format, request, completion }: Asked<R>,
): Promise<WholeAnswer> {
  try {
    const result = await gateway.complete(completion);
    call.completed(completionEnd(request.model, result, false));
    const headers = factHeaders(result);
    if (result.native !== undefined) return { headers, body: result.native };
    // Of a replayed answer it is not known what its provider was told.
    const ignored = result.replayed ? {} : ignoredHeaders(format.ignoredMembers(request));
    return { headers: { ...headers, ...ignored }, body: format.toAnswer(request, result, call.requestId) };
  } catch (error) {
    call.completed(completionEnd(request.model, endOfFailed(error), false));
    throw error;
  }
}
