import { create, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  type Compression,
  compressionNegotiate,
  createMethodSerializationLookup,
  encodeEnvelope,
  envelopeCompress,
  type Serialization,
  type UniversalHandlerOptions,
} from "@connectrpc/connect/protocol";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { GatewayError } from "../../core/errors.ts";
import { type Checks, runUnary, type ServedMethod } from "./call-runner.ts";
import { ENVELOPE_HEADER_BYTES, type RequestBody } from "./request-body.ts";
import type { RpcCall } from "./rpc-call.ts";
import { drained, headersOf, releaseRequest } from "./write-response.ts";

/** How the messages of a call are coded. */
interface Coding {
  /** Framed, with the status as trailers: gRPC. */
  readonly enveloped: boolean;
  /** Of the answer. */
  readonly contentType: string;
  /** Names the compression of a request or an answer. */
  readonly encodingHeader: string;
  /** Names the compressions that the caller takes. */
  readonly acceptHeader: string;
  readonly input: Serialization<Message>;
  readonly output: Serialization<Message>;
}

/** A request whose message was read, ready to run. */
export interface DirectRequest {
  readonly coding: Coding;
  readonly message: Message;
}

const STATUS_OK = { "grpc-status": "0" };

/**
 * Answers unary calls past Connect's handlers, whose chain of async iterables costs more than the rest of a small
 * call. It takes only requests that have nothing special: gRPC over HTTP/2 and Connect by POST, in their common
 * content types, uncompressed, with exactly one message that can be decoded. All others are Connect's, whose handler
 * gets the same body and finds out what is wrong with it. Codecs, compression and the form of errors are Connect's
 * here too.
 */
export class DirectUnary {
  readonly #checks: Checks;
  readonly #served: ServedMethod & { readonly kind: "unary" };
  readonly #options: UniversalHandlerOptions;
  readonly #codings: ReadonlyMap<string | undefined, Coding>;

  constructor(
    checks: Checks,
    served: ServedMethod & { readonly kind: "unary" },
    options: UniversalHandlerOptions,
  ) {
    this.#checks = checks;
    this.#served = served;
    this.#options = options;
    this.#codings = codingsOf(served.method as DescMethodUnary, options);
  }

  /** Reads the request; undefined when it is for Connect. Never rejects. */
  async read({ request }: RpcCall, body: RequestBody): Promise<DirectRequest | undefined> {
    const { headers } = request;
    const coding = request.method === "POST" ? this.#codings.get(headers["content-type"]) : undefined;
    if (!coding || (coding.enveloped && request.httpVersionMajor < 2)) return undefined;
    const encoding = headers[coding.encodingHeader];
    if (encoding !== undefined && encoding !== "identity") return undefined;
    try {
      const whole = await body.whole;
      const bytes = coding.enveloped ? onlyMessage(whole) : promised(whole, headers["content-length"]);
      return bytes && { coding, message: coding.input.parse(bytes) };
    } catch {
      // Connect's handler meets the same failure when it reads the body, and the call is answered with that.
      return undefined;
    }
  }

  /** Runs the call and writes its answer. Resolves when all was handed to the socket, or the caller went away. */
  async answer(call: RpcCall, { coding, message }: DirectRequest): Promise<void> {
    const output = await runUnary(this.#checks, this.#served, call, message).catch(connectErrorOf);
    const accepted = call.request.headers[coding.acceptHeader];
    const compression =
      accepted === undefined
        ? null
        : compressionNegotiate(this.#options.acceptCompression, null, String(accepted), coding.acceptHeader)
            .response;
    if (coding.enveloped) await this.#answerGrpc(call, coding, output, compression);
    else await this.#answerConnect(call, coding, output, compression);
  }

  async #answerGrpc(
    call: RpcCall,
    coding: Coding,
    output: Message | ConnectError,
    compression: Compression | null,
  ): Promise<void> {
    const { request, response } = call;
    const headers: Record<string, string> = { "content-type": coding.contentType };
    // Said of every answer: which compression it would have if it were long enough.
    if (compression) headers[coding.encodingHeader] = compression.name;
    let frame: Uint8Array | undefined;
    let failure: ConnectError | undefined;
    if (output instanceof ConnectError) failure = output;
    else {
      try {
        const plain = { flags: 0, data: this.#serialize(coding, output) };
        const { flags, data } = await envelopeCompress(plain, compression, this.#options.compressMinBytes);
        frame = encodeEnvelope(flags, data);
      } catch (error) {
        failure = call.fail(new GatewayError("INTERNAL", "internal error", { cause: error }));
      }
    }
    releaseRequest(request, response);
    if (response.destroyed) return;
    response.writeHead(200, headers);
    if (frame && !response.write(frame)) await drained(response);
    if (response.destroyed) return;
    response.addTrailers(failure ? headersOf(setTrailerStatus(new Headers(), failure)) : STATUS_OK);
    response.end();
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
      body = failed ? errorToJsonBytes(output, this.#options.jsonOptions) : this.#serialize(coding, output);
      if (compression && body.byteLength >= this.#options.compressMinBytes) {
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

  /** Handlers may leave out the fields that have their default. */
  #serialize(coding: Coding, output: Message): Uint8Array<ArrayBuffer> {
    return coding.output.serialize(create(this.#served.method.output, output));
  }
}

function codingsOf(
  method: DescMethodUnary,
  options: UniversalHandlerOptions,
): ReadonlyMap<string | undefined, Coding> {
  const { binaryOptions, jsonOptions } = options;
  const lookup = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
  const binary = { input: lookup.getI(true), output: lookup.getO(true) };
  const json = { input: lookup.getI(false), output: lookup.getO(false) };
  const grpc: Coding = {
    ...binary,
    enveloped: true,
    contentType: "application/grpc+proto",
    encodingHeader: "grpc-encoding",
    acceptHeader: "grpc-accept-encoding",
  };
  const connect = {
    enveloped: false,
    encodingHeader: "content-encoding",
    acceptHeader: "accept-encoding",
  };
  return new Map([
    ["application/grpc", grpc],
    ["application/grpc+proto", grpc],
    ["application/proto", { ...binary, ...connect, contentType: "application/proto" }],
    ["application/json", { ...json, ...connect, contentType: "application/json" }],
  ]);
}

/** The message of a body that is one envelope without flags; undefined for all other bodies. */
function onlyMessage(body: Uint8Array): Uint8Array | undefined {
  if (body.byteLength < ENVELOPE_HEADER_BYTES) return undefined;
  const view = new DataView(body.buffer, body.byteOffset);
  const length = body.byteLength - ENVELOPE_HEADER_BYTES;
  if (view.getUint8(0) !== 0 || view.getUint32(1) !== length) return undefined;
  // Not a part of the Buffer, which would make Buffers of the message's bytes fields.
  return new Uint8Array(body.buffer, body.byteOffset + ENVELOPE_HEADER_BYTES, length);
}

/** The body; undefined when it has not the length that its headers promised. */
function promised(body: Uint8Array, contentLength: string | undefined): Uint8Array | undefined {
  if (contentLength !== undefined && contentLength !== String(body.byteLength)) return undefined;
  return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
}

/** The error that a call's run ended with; others are defects. */
function connectErrorOf(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  throw error;
}
