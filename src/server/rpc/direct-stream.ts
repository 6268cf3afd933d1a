import type { Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { GatewayError } from "../../core/errors.ts";
import { runServerStreaming, type ServedMethod } from "./call-runner.ts";
import { type Coding, DirectCalls, type DirectRequest, writeEnvelopedHead } from "./direct-call.ts";
import type { RpcCall } from "./rpc-call.ts";
import type { StreamQueue } from "./stream-queue.ts";
import { drained } from "./write-response.ts";

/** Calls that are answered with a stream, past Connect's handlers: gRPC over HTTP/2, gRPC-Web, and Connect. */
export class DirectStream extends DirectCalls<ServedMethod & { readonly kind: "server_streaming" }> {
  async answer(call: RpcCall, { coding, message }: DirectRequest): Promise<void> {
    const { response } = call;
    const compression = this.compressionFor(call, coding);
    const out = runServerStreaming(this.checks, this.served, call, Promise.resolve(message));
    const failure = await this.#writeMessages(call, out, coding, compression);
    if (response.destroyed) {
      await out.return();
      return;
    }
    if (!response.headersSent) writeEnvelopedHead(call, coding, compression);
    await this.end(response, coding, { failure, compression });
  }

  /** Writes what the call pushes, until it ends or the caller has gone. The error that it ended with, if any. */
  async #writeMessages(
    call: RpcCall,
    out: StreamQueue<Message>,
    coding: Coding,
    compression: Compression | null,
  ): Promise<ConnectError | undefined> {
    const { response } = call;
    try {
      for (let next = await out.next(); !next.done; next = await out.next()) {
        if (!response.headersSent) await restOfTurn();
        const frame = await this.frameOf(this.serialize(coding, next.value), compression);
        if (response.destroyed) return undefined;
        if (!response.headersSent) writeEnvelopedHead(call, coding, compression);
        if (!response.write(frame)) await drained(response);
        if (response.destroyed) return undefined;
      }
      return undefined;
    } catch (error) {
      if (error === call.failure) return call.failure;
      // A message that cannot be encoded, of which Connect's codec says too much.
      await out.return();
      return call.fail(new GatewayError("INTERNAL", "internal error", { cause: error }));
    }
  }
}

/** An error that comes along with the first message can still add headers. */
const restOfTurn = () => new Promise<void>((resolve) => process.nextTick(resolve));
