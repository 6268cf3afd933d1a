import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";

/** The whole authorization of a call is its key; without one it is sent without. */
export interface CallOptions {
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** The client's own deadline: it tells the server and gives up by itself. */
  readonly timeoutMs?: number;
  /** Only told to the server, in the protocol's header, so that it is the server that answers. */
  readonly statedTimeoutMs?: number;
}

export interface Reply<O extends DescMessage> {
  readonly message: MessageShape<O>;
  /** Headers and trailers. */
  readonly headers: Headers;
}

/**
 * A real client of the gateway behind one interface, so that one suite can hold all of them against each other.
 * Messages are those of `gen/es`, whatever the client itself uses.
 */
export interface GatewayClient {
  /** @throws CallFailure */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options?: CallOptions,
  ): Promise<Reply<O>>;
  /** Leaving the loop cancels the call. @throws CallFailure */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options?: CallOptions,
  ): AsyncIterable<MessageShape<O>>;
  close(): Promise<void> | void;
}

/** What a failed call told its caller, in the terms that all protocols share. */
export class CallFailure extends Error {
  override readonly name = "CallFailure";
  /** Connect's spelling, e.g. `invalid_argument`. */
  readonly code: string;
  readonly headers: Headers;
  readonly details: readonly Pick<Any, "typeUrl" | "value">[];

  constructor(
    message: string,
    failure: {
      readonly code: string;
      readonly headers: Headers;
      readonly details: readonly Pick<Any, "typeUrl" | "value">[];
    },
  ) {
    super(message);
    this.code = failure.code;
    this.headers = failure.headers;
    this.details = failure.details;
  }

  /** The detail of this type, if there is one. */
  find<D extends DescMessage>(schema: D): MessageShape<D> | undefined {
    const detail = this.details.find(({ typeUrl }) => typeUrl.split("/").at(-1) === schema.typeName);
    return detail && fromBinary(schema, detail.value);
  }

  /** The detail of this type, which must be there. */
  detail<D extends DescMessage>(schema: D): MessageShape<D> {
    const detail = this.find(schema);
    if (!detail) throw new Error(`the error has no ${schema.typeName}: ${this.code} ${this.message}`);
    return detail;
  }

  get reason(): string {
    return this.detail(ErrorInfoSchema).reason;
  }
}

/** The failure that the work must end with. */
export async function failureOf(work: Promise<unknown>): Promise<CallFailure> {
  try {
    await work;
  } catch (error) {
    if (error instanceof CallFailure) return error;
    throw error;
  }
  throw new Error("the call was expected to fail");
}

/** All messages of a stream, and how it failed if it did. */
export async function drain<T>(
  stream: AsyncIterable<T>,
): Promise<{ readonly messages: readonly T[]; readonly failure: CallFailure | undefined }> {
  const messages: T[] = [];
  try {
    for await (const message of stream) messages.push(message);
  } catch (error) {
    if (error instanceof CallFailure) return { messages, failure: error };
    throw error;
  }
  return { messages, failure: undefined };
}

/** The headers that every client sends the same way. */
export function requestHeaders({ key, headers }: CallOptions): Record<string, string> {
  return { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...headers };
}
