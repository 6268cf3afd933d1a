import { create, type DescMethod, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import {
  type Compression,
  compressionNegotiate,
  createMethodSerializationLookup,
  encodeEnvelope,
  envelopeCompress,
  type Serialization,
  type UniversalHandlerOptions,
} from "@connectrpc/connect/protocol";
import {
  createEndStreamSerialization,
  type EndStreamResponse,
  endStreamFlag,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import type { NodeResponse } from "../node-exchange.ts";
import type { Checks, ServedMethod } from "./call-runner.ts";
import { ENVELOPE_HEADER_BYTES, type RequestBody } from "./request-body.ts";
import type { RpcCall } from "./rpc-call.ts";
import { headersOf, releaseRequest } from "./write-response.ts";

/** How the messages of a call are coded. */
export interface Coding {
  readonly protocol: "grpc" | "grpc_web" | "connect";
  /** Messages are framed, and their end is said after them. */
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
 * Answers the calls of a method past Connect's handlers, whose chain of async iterables costs more than the rest of a
 * call. It takes only requests that have nothing special: in the common content types, uncompressed, with exactly one
 * message that can be decoded. All others are Connect's, whose handler gets the same body and finds out what is wrong
 * with it. Codecs, compression and the form of errors are Connect's here too.
 */
export abstract class DirectCalls<S extends ServedMethod> {
  protected readonly checks: Checks;
  protected readonly served: S;
  protected readonly options: UniversalHandlerOptions;
  readonly #codings: ReadonlyMap<string | undefined, Coding>;
  readonly #connectEnds: Serialization<EndStreamResponse>;

  constructor(checks: Checks, served: S, options: UniversalHandlerOptions) {
    this.checks = checks;
    this.served = served;
    this.options = options;
    this.#connectEnds = createEndStreamSerialization(options.jsonOptions);
    this.#codings = codingsOf(served.method, options);
  }

  /** Reads the request; undefined when it is for Connect. Never rejects. */
  async read({ request }: RpcCall, body: RequestBody): Promise<DirectRequest | undefined> {
    const { headers } = request;
    const coding = request.method === "POST" ? this.#codings.get(headers["content-type"]) : undefined;
    if (!coding || (coding.protocol === "grpc" && request.httpVersionMajor < 2)) return undefined;
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
  abstract answer(call: RpcCall, request: DirectRequest): Promise<void>;

  /** What the answer is compressed with, if it is long enough and the caller takes it. */
  protected compressionFor({ request }: RpcCall, { acceptHeader }: Coding): Compression | null {
    const accepted = request.headers[acceptHeader];
    if (accepted === undefined) return null;
    return compressionNegotiate(this.options.acceptCompression, null, String(accepted), acceptHeader)
      .response;
  }

  /** Handlers may leave out the fields that have their default. @throws when the message cannot be encoded */
  protected serialize(coding: Coding, output: Message): Uint8Array<ArrayBuffer> {
    return coding.output.serialize(create(this.served.method.output, output));
  }

  /** A message as it is sent. */
  protected async frameOf(
    data: Uint8Array<ArrayBuffer>,
    compression: Compression | null,
    plainFlags = 0,
  ): Promise<Uint8Array> {
    const { compressMinBytes } = this.options;
    if (!compression || data.byteLength < compressMinBytes) return encodeEnvelope(plainFlags, data);
    const compressed = await envelopeCompress({ flags: plainFlags, data }, compression, compressMinBytes);
    return encodeEnvelope(compressed.flags, compressed.data);
  }

  /** Ends an enveloped answer, whose head was written. */
  protected async end(
    response: NodeResponse,
    coding: Coding,
    ended: { readonly failure: ConnectError | undefined; readonly compression: Compression | null },
  ): Promise<void> {
    const { failure, compression } = ended;
    switch (coding.protocol) {
      case "grpc":
        response.addTrailers(failure ? headersOf(grpcStatus(failure)) : STATUS_OK);
        response.end();
        return;
      case "grpc_web": {
        const trailer = trailerSerialize(failure ? grpcStatus(failure) : new Headers(STATUS_OK));
        response.end(await this.frameOf(trailer, compression, trailerFlag));
        return;
      }
      case "connect": {
        const end = this.#connectEnds.serialize({
          metadata: new Headers(),
          ...(failure && { error: failure }),
        });
        response.end(await this.frameOf(end, compression, endStreamFlag));
        return;
      }
      default:
        coding.protocol satisfies never;
    }
  }
}

/** Writes the head of an enveloped answer. Which compression it would have if it were long enough is always said. */
export function writeEnvelopedHead(
  { request, response }: RpcCall,
  coding: Coding,
  compression: Compression | null,
): void {
  const headers: Record<string, string> = { "content-type": coding.contentType };
  if (compression) headers[coding.encodingHeader] = compression.name;
  releaseRequest(request, response);
  response.writeHead(200, headers);
}

const grpcStatus = (failure: ConnectError): Headers => setTrailerStatus(new Headers(), failure);

/** By content type. */
function codingsOf(
  method: DescMethod,
  options: UniversalHandlerOptions,
): ReadonlyMap<string | undefined, Coding> {
  const { binaryOptions, jsonOptions } = options;
  const lookup = createMethodSerializationLookup(
    method as DescMethodUnary,
    binaryOptions,
    jsonOptions,
    options,
  );
  const binary = { input: lookup.getI(true), output: lookup.getO(true) };
  const json = { input: lookup.getI(false), output: lookup.getO(false) };
  const grpcHeaders = { encodingHeader: "grpc-encoding", acceptHeader: "grpc-accept-encoding" };
  const grpc: Coding = {
    ...{ ...binary, ...grpcHeaders, protocol: "grpc", enveloped: true },
    contentType: "application/grpc+proto",
  };
  const grpcWeb: Coding = { ...grpc, protocol: "grpc_web", contentType: "application/grpc-web+proto" };
  const isStream = method.methodKind !== "unary";
  const prefix = isStream ? "connect-" : "";
  const connect = {
    protocol: "connect" as const,
    enveloped: isStream,
    encodingHeader: `${prefix}content-encoding`,
    acceptHeader: `${prefix}accept-encoding`,
  };
  const [protoType, jsonType] = isStream
    ? ["application/connect+proto", "application/connect+json"]
    : ["application/proto", "application/json"];
  return new Map([
    ["application/grpc", grpc],
    ["application/grpc+proto", grpc],
    ["application/grpc-web", grpcWeb],
    ["application/grpc-web+proto", grpcWeb],
    [protoType, { ...binary, ...connect, contentType: protoType }],
    [jsonType, { ...json, ...connect, contentType: jsonType }],
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
