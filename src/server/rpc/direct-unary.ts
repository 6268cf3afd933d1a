import type { Message } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { GatewayError } from "../../core/errors.ts";
import { runUnary, type ServedMethod } from "./call-runner.ts";
import { type Coding, DirectCalls, type DirectRequest, writeEnvelopedHead } from "./direct-call.ts";
import type { RpcCall } from "./rpc-call.ts";
import { drained, releaseRequest } from "./write-response.ts";

/** Unary calls past Connect's handlers: gRPC over HTTP/2, gRPC-Web, and Connect by POST. */
export class DirectUnary extends DirectCalls<ServedMethod & { readonly kind: "unary" }> {
  async answer(call: RpcCall, { coding, message }: DirectRequest): Promise<void> {
    const output = await runUnary(this.checks, this.served, call, message).catch(connectErrorOf);
    const compression = this.compressionFor(call, coding);
    if (coding.enveloped) await this.#answerEnveloped(call, coding, output, compression);
    else await this.#answerConnect(call, coding, output, compression);
  }

  async #answerEnveloped(
    call: RpcCall,
    coding: Coding,
    output: Message | ConnectError,
    compression: Compression | null,
  ): Promise<void> {
    const { response } = call;
    let frame: Uint8Array | undefined;
    let failure: ConnectError | undefined;
    if (output instanceof ConnectError) failure = output;
    else {
      try {
        frame = await this.frameOf(this.serialize(coding, output), compression);
      } catch (error) {
        failure = call.fail(new GatewayError("INTERNAL", "internal error", { cause: error }));
      }
    }
    if (response.destroyed) return;
    writeEnvelopedHead(call, coding, compression);
    if (frame && !response.write(frame)) await drained(response);
    if (!response.destroyed) await this.end(response, coding, { failure, compression });
  }

  /** @throws GatewayError INTERNAL when the answer cannot be encoded */
  async #answerConnect(
    call: RpcCall,
    coding: Coding,
    output: Message | ConnectError,
    compression: Compression | null,
  ): Promise<void> {
    const { request, response } = call;
    const failed = output instanceof ConnectError;
    const headers: Record<string, string> = {};
    let body: Uint8Array;
    try {
      body = failed ? errorToJsonBytes(output, this.options.jsonOptions) : this.serialize(coding, output);
      if (compression && body.byteLength >= this.options.compressMinBytes) {
        body = await compression.compress(body);
        headers[coding.encodingHeader] = compression.name;
      }
    } catch (error) {
      throw new GatewayError("INTERNAL", "internal error", { cause: error });
    }
    headers["content-length"] = String(body.byteLength);
    headers["content-type"] = failed ? "application/json" : coding.contentType;
    if (response.destroyed) return;
    releaseRequest(request, response);
    response.writeHead(failed ? codeToHttpStatus(output.code) : 200, headers);
    // Head and body in one write.
    response.end(body);
  }
}

/** The error that a call's run ended with; others are defects. */
function connectErrorOf(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  throw error;
}
