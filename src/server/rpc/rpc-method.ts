import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { AuthenticatedCall, CallContext } from "./call-context.ts";
import type { StreamQueue } from "./stream-queue.ts";

/**
 * An RPC: its descriptor and the plain function that answers it. Handlers get messages that were validated, from
 * callers that may make the call, and throw GatewayError.
 */
export type RpcMethod =
  | {
      readonly kind: "unary";
      readonly method: DescMethod;
      readonly requestIdOf: (request: Message) => string | undefined;
      readonly handle: (request: Message, call: AuthenticatedCall) => Promise<Message>;
    }
  | {
      readonly kind: "server_streaming";
      readonly method: DescMethod;
      readonly requestIdOf: (request: Message) => string | undefined;
      readonly handle: (
        request: Message,
        call: AuthenticatedCall,
        out: StreamQueue<Message>,
      ) => Promise<void>;
    }
  | {
      readonly kind: "bidi_streaming";
      readonly method: DescMethod;
      readonly handle: (
        requests: AsyncIterable<Message>,
        call: CallContext,
        out: StreamQueue<Message>,
      ) => Promise<void>;
    };

/** The type parameters of a method end here: what calls it knows the descriptor, and decodes accordingly. */
type Erased = (...parameters: never[]) => unknown;
const erase = <T>(handle: Erased): T => handle as unknown as T;
const noRequestId = () => undefined;

/** A unary RPC. `requestIdOf` reads the request id from the message, where it has one. */
export function unary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handle: (request: MessageShape<I>, call: AuthenticatedCall) => Promise<MessageInitShape<O>>,
  requestIdOf: (request: MessageShape<I>) => string | undefined = noRequestId,
): RpcMethod {
  return { kind: "unary", method, handle: erase(handle), requestIdOf: erase(requestIdOf) };
}

/** An RPC that answers with a stream. The stream ends when the handler does. */
export function serverStreaming<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  handle: (
    request: MessageShape<I>,
    call: AuthenticatedCall,
    out: StreamQueue<MessageShape<O>>,
  ) => Promise<void>,
  requestIdOf: (request: MessageShape<I>) => string | undefined = noRequestId,
): RpcMethod {
  return { kind: "server_streaming", method, handle: erase(handle), requestIdOf: erase(requestIdOf) };
}

/** An RPC with streams both ways; public ones only. */
export function bidiStreaming<I extends DescMessage, O extends DescMessage>(
  method: DescMethodBiDiStreaming<I, O>,
  handle: (
    requests: AsyncIterable<MessageShape<I>>,
    call: CallContext,
    out: StreamQueue<MessageShape<O>>,
  ) => Promise<void>,
): RpcMethod {
  return { kind: "bidi_streaming", method, handle: erase(handle) };
}
