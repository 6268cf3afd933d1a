import type { DescMethodBiDiStreaming, DescMethodUnary, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { UniversalHandler, UniversalHandlerOptions } from "@connectrpc/connect/protocol";
import { createHandlerFactory as createConnectFactory } from "@connectrpc/connect/protocol-connect";
import { createHandlerFactory as createGrpcFactory } from "@connectrpc/connect/protocol-grpc";
import { createHandlerFactory as createGrpcWebFactory } from "@connectrpc/connect/protocol-grpc-web";
import {
  type Checks,
  readAndRunUnary,
  readOne,
  runBidiStreaming,
  runServerStreaming,
  runUnary,
  type ServedMethod,
} from "./call-runner.ts";
import type { RpcProtocol } from "./protocol.ts";
import { RpcCall } from "./rpc-call.ts";

/** A method's handler for each protocol that it can be called by. */
export type ProtocolHandlers = Readonly<Partial<Record<RpcProtocol, UniversalHandler>>>;

/**
 * Makes Connect's handlers of a method. For the enveloped protocols every method is given to Connect as a stream of
 * requests: reading a request then fails inside our code, which gives the error its details. Connect's unary
 * protocol has no such place; its failures are replaced in rpc-handler.ts.
 */
export function createProtocolHandlers(
  checks: Checks,
  connectOptions: UniversalHandlerOptions,
): (served: ServedMethod) => ProtocolHandlers {
  const options = { ...connectOptions, requestGate: shareAbortReason };
  const grpc = createGrpcFactory(options);
  const grpcWeb = createGrpcWebFactory(options);
  const connect = createConnectFactory(options);
  return (served) => {
    const spec = {
      kind: "bidi_streaming" as const,
      method: served.method as DescMethodBiDiStreaming,
      impl: streamingImplementation(checks, served),
    };
    const enveloped = { grpc: grpc(spec), grpc_web: grpcWeb(spec) };
    if (served.kind !== "unary") return { ...enveloped, connect_stream: connect(spec) };
    const impl = (message: Message, context: HandlerContext) =>
      runUnary(checks, served, callOf(context), message);
    const method = served.method as DescMethodUnary;
    return { ...enveloped, connect_unary: connect({ kind: "unary", method, impl }) };
  };
}

function streamingImplementation(
  checks: Checks,
  served: ServedMethod,
): (messages: AsyncIterable<Message>, context: HandlerContext) => AsyncIterable<Message> {
  switch (served.kind) {
    case "unary":
      return (messages, context) =>
        new OneAnswer(() => readAndRunUnary(checks, served, callOf(context), messages));
    case "server_streaming":
      return (messages, context) => runServerStreaming(checks, served, callOf(context), readOne(messages));
    case "bidi_streaming":
      return (messages, context) => runBidiStreaming(served, callOf(context), messages);
    default:
      return served satisfies never;
  }
}

function callOf(context: HandlerContext): RpcCall {
  if (context.values instanceof RpcCall) return context.values;
  throw new Error("the call did not come through the RPC handler");
}

const CALL_ENDED = new ConnectError("the call ended", Code.Canceled);

/**
 * Connect aborts its own signal at the end of each call, and the default reason is an exception with a stack,
 * which is a tenth of the CPU of a small call. Nothing of ours listens to that signal.
 */
function shareAbortReason(context: HandlerContext): void {
  const controller = context as HandlerContext & { abort(reason?: unknown): void };
  const { abort } = controller;
  controller.abort = (reason = CALL_ENDED) => abort(reason);
}

/** A stream of one message, without a generator. */
class OneAnswer implements AsyncIterableIterator<Message> {
  #run: (() => Promise<Message>) | undefined;

  constructor(run: () => Promise<Message>) {
    this.#run = run;
  }

  async next(): Promise<IteratorResult<Message>> {
    const run = this.#run;
    if (!run) return { done: true, value: undefined };
    this.#run = undefined;
    return { done: false, value: await run() };
  }

  async return(): Promise<IteratorResult<Message>> {
    this.#run = undefined;
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<Message>> {
    this.#run = undefined;
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
