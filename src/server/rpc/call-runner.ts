import type { Message } from "@bufbuild/protobuf";
import { GatewayError } from "../../core/errors.ts";
import type { Authenticator } from "../../core/keys.ts";
import { fromReadFailure } from "../error-map.ts";
import { presentedSecret } from "./credentials.ts";
import type { ValidateMessage } from "./message-validator.ts";
import { authorize, type MethodAccess } from "./method-access.ts";
import type { RpcCall } from "./rpc-call.ts";
import type { RpcMethod } from "./rpc-method.ts";
import { StreamQueue } from "./stream-queue.ts";

/** Who checks callers and messages. */
export interface Checks {
  readonly authenticator: Authenticator;
  readonly validate: ValidateMessage;
}

/** An RPC with what its callers must be. */
export type ServedMethod = RpcMethod & { readonly access: MethodAccess };

/**
 * The steps of every call, in this order: request id and telemetry, authentication, authorisation, validation,
 * the handler, end of telemetry. Plain functions: Connect's interceptors cost a closure and a promise each.
 */
async function admit(
  checks: Checks,
  served: Exclude<ServedMethod, { kind: "bidi_streaming" }>,
  call: RpcCall,
  message: Message,
): Promise<void> {
  call.begin(served.requestIdOf(message));
  if (served.access !== "public") {
    const { headers, rawHeaders } = call.request;
    call.authenticated(await checks.authenticator.authenticate(presentedSecret(headers, rawHeaders)));
    authorize(call.principal, served.access);
    checks.validate(served.method.input, message);
  }
}

/** Runs a unary call whose message was read. Rejects with a ConnectError. */
export function runUnary(
  checks: Checks,
  served: ServedMethod & { kind: "unary" },
  call: RpcCall,
  message: Message,
): Promise<Message> {
  return call.run(answer(checks, served, call, message));
}

/** Reads the one message of a unary call, and runs it. */
export function readAndRunUnary(
  checks: Checks,
  served: ServedMethod & { kind: "unary" },
  call: RpcCall,
  messages: AsyncIterable<Message>,
): Promise<Message> {
  return call.run(readOne(messages).then((message) => answer(checks, served, call, message)));
}

async function answer(
  checks: Checks,
  served: ServedMethod & { kind: "unary" },
  call: RpcCall,
  message: Message,
): Promise<Message> {
  await admit(checks, served, call, message);
  return served.handle(message, call);
}

/** Runs a call with the one message that is being read; the stream of its answers. */
export function runServerStreaming(
  checks: Checks,
  served: ServedMethod & { kind: "server_streaming" },
  call: RpcCall,
  reading: Promise<Message>,
): StreamQueue<Message> {
  const out = new StreamQueue<Message>();
  const work = async () => {
    const message = await reading;
    await admit(checks, served, call, message);
    await served.handle(message, call, out);
  };
  return runStream(call, out, work());
}

/** Runs a call with streams both ways. */
export function runBidiStreaming(
  served: ServedMethod & { kind: "bidi_streaming" },
  call: RpcCall,
  messages: AsyncIterable<Message>,
): StreamQueue<Message> {
  const out = new StreamQueue<Message>();
  call.begin();
  return runStream(call, out, served.handle(readable(messages), call, out));
}

function runStream(call: RpcCall, out: StreamQueue<Message>, work: Promise<void>): StreamQueue<Message> {
  call.onOverdue((error) => out.cutShort(call.fail(error)));
  work.then(
    () => {
      call.finish();
      out.end();
    },
    (error: unknown) => {
      call.finish(error);
      out.end(call.fail(error));
    },
  );
  return out;
}

/** The one message of a call. gRPC gives a wrong number of messages the status UNIMPLEMENTED. */
export async function readOne(messages: AsyncIterable<Message>): Promise<Message> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    const first = await iterator.next();
    if (first.done) throw new GatewayError("UNIMPLEMENTED", "the request has no message");
    const second = await iterator.next();
    if (!second.done) throw new GatewayError("UNIMPLEMENTED", "the request has more than one message");
    return first.value;
  } catch (error) {
    throw fromReadFailure(error);
  }
}

/** The messages of a stream, with the failures to read them as ours. */
async function* readable(messages: AsyncIterable<Message>): AsyncIterable<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw fromReadFailure(error);
  }
}
