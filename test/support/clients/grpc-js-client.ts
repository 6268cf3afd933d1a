import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  type CallOptions as GrpcCallOptions,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { StatusSchema } from "../../../gen/es/google/rpc/status_pb.ts";
import { HealthClient, HealthService } from "../../../gen/ts-proto/grpc/health/v1/health.ts";
import {
  CompletionServiceClient,
  CompletionServiceService,
} from "../../../gen/ts-proto/llmgateway/v1/completion.ts";
import { CostServiceClient, CostServiceService } from "../../../gen/ts-proto/llmgateway/v1/cost.ts";
import {
  EmbeddingServiceClient,
  EmbeddingServiceService,
} from "../../../gen/ts-proto/llmgateway/v1/embedding.ts";
import { KeyServiceClient, KeyServiceService } from "../../../gen/ts-proto/llmgateway/v1/key.ts";
import { ModelServiceClient, ModelServiceService } from "../../../gen/ts-proto/llmgateway/v1/model.ts";
import {
  CallFailure,
  type CallOptions,
  type GatewayClient,
  type Reply,
  requestHeaders,
} from "./gateway-client.ts";

type Definition = MethodDefinition<unknown, unknown>;
type Unary = (
  request: unknown,
  metadata: Metadata,
  options: GrpcCallOptions,
  callback: (error: ServiceError | null, response: unknown) => void,
) => ClientUnaryCall;
type Streaming = (
  request: unknown,
  metadata: Metadata,
  options: GrpcCallOptions,
) => ClientReadableStream<unknown>;

/** gRPC codes in Connect's spelling, by number. */
const CODES =
  "ok canceled unknown invalid_argument deadline_exceeded not_found already_exists permission_denied resource_exhausted failed_precondition aborted out_of_range unimplemented internal unavailable data_loss unauthenticated".split(
    " ",
  );

const SERVICES = {
  "llmgateway.v1.CompletionService": {
    create: CompletionServiceClient,
    definition: CompletionServiceService,
  },
  "llmgateway.v1.CostService": { create: CostServiceClient, definition: CostServiceService },
  "llmgateway.v1.EmbeddingService": {
    create: EmbeddingServiceClient,
    definition: EmbeddingServiceService,
  },
  "llmgateway.v1.KeyService": { create: KeyServiceClient, definition: KeyServiceService },
  "llmgateway.v1.ModelService": { create: ModelServiceClient, definition: ModelServiceService },
  "grpc.health.v1.Health": { create: HealthClient, definition: HealthService },
} as const;

/** The clients that ts-proto generates, over grpc-js. */
export function createGrpcJsClient(
  target: { readonly host: string; readonly port: number },
  channel: ChannelCredentials = credentials.createInsecure(),
): GatewayClient {
  const clients = new Map<string, { client: Client; definition: Record<string, Definition> }>(
    Object.entries(SERVICES).map(([typeName, service]) => [
      typeName,
      {
        client: new service.create(`${target.host}:${target.port}`, channel),
        definition: service.definition as unknown as Record<string, Definition>,
      },
    ]),
  );

  function prepare<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions,
  ) {
    const service = clients.get(method.parent.typeName);
    const definition = service?.definition[method.localName];
    if (!service || !definition) throw new Error(`ts-proto made no ${method.toString()}`);
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(requestHeaders(options))) metadata.set(name, value);
    if (options.statedTimeoutMs !== undefined) metadata.set("grpc-timeout", `${options.statedTimeoutMs}m`);
    return {
      service,
      metadata,
      // From the one generated code to the other by way of the wire format.
      message: definition.requestDeserialize(
        Buffer.from(toBinary(method.input, create(method.input, request))),
      ),
      callOptions: options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs },
      toMessage: (response: unknown): MessageShape<O> =>
        fromBinary(method.output, definition.responseSerialize(response)),
    };
  }

  return {
    unary(method, request, options = {}) {
      const { service, metadata, message, callOptions, toMessage } = prepare(method, request, options);
      const invoke = (service.client as unknown as Record<string, Unary>)[method.localName];
      if (!invoke) throw new Error(`no method ${method.localName}`);
      return new Promise<Reply<typeof method.output>>((resolve, reject) => {
        const headers = new Headers();
        const call = invoke.call(service.client, message, metadata, callOptions, (error, response) => {
          if (error) reject(failure(error, headers));
          else resolve({ message: toMessage(response), headers });
        });
        call.on("metadata", (received) => addTo(headers, received));
      });
    },
    async *stream(method, request, options = {}) {
      const { service, metadata, message, callOptions, toMessage } = prepare(method, request, options);
      const invoke = (service.client as unknown as Record<string, Streaming>)[method.localName];
      if (!invoke) throw new Error(`no method ${method.localName}`);
      const headers = new Headers();
      const call = invoke.call(service.client, message, metadata, callOptions);
      call.on("metadata", (received) => addTo(headers, received));
      try {
        for await (const response of call) yield toMessage(response);
      } catch (error) {
        throw failure(error, headers);
      } finally {
        call.on("error", () => {});
        call.cancel();
      }
    },
    close() {
      for (const { client } of clients.values()) client.close();
    },
  };
}

function addTo(headers: Headers, metadata: Metadata): void {
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") headers.set(name, value);
  }
}

function failure(thrown: unknown, headers: Headers): unknown {
  if (!(thrown instanceof Error) || !("metadata" in thrown)) return thrown;
  const error = thrown as ServiceError;
  addTo(headers, error.metadata);
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const status = Buffer.isBuffer(bytes) ? fromBinary(StatusSchema, bytes) : undefined;
  return new CallFailure(error.details, {
    code: CODES[error.code] ?? String(error.code),
    headers,
    details: status?.details ?? [],
  });
}
