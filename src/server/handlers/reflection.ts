import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescService,
  type MessageShape,
} from "@bufbuild/protobuf";
import * as v1 from "../../../gen/es/grpc/reflection/v1/reflection_pb.ts";
import * as v1alpha from "../../../gen/es/grpc/reflection/v1alpha/reflection_pb.ts";
import { GatewayError } from "../../core/errors.ts";
import { bidiStreaming, type RpcMethod } from "../rpc/rpc-method.ts";
import { unlessAborted } from "../rpc/unless-aborted.ts";
import { createDescriptorIndex, type DescriptorIndex } from "./descriptor-index.ts";

/** gRPC status codes, as the error response of reflection uses them. */
const NOT_FOUND = 5;
const INVALID_ARGUMENT = 3;

/** The two versions have the same messages under different names. */
type Question = (v1.ServerReflectionRequest | v1alpha.ServerReflectionRequest)["messageRequest"];

export interface ReflectionOptions {
  /** The services to describe; the reflection services themselves are added. */
  readonly services: readonly DescService[];
  /** Ends open streams, which would otherwise hold the shutdown up. */
  readonly shutdown?: AbortSignal | undefined;
}

/** `grpc.reflection.v1.ServerReflection`, and `v1alpha` for older tools. */
export function reflectionMethods({ services, shutdown }: ReflectionOptions): readonly RpcMethod[] {
  const index = createDescriptorIndex([...services, v1.ServerReflection, v1alpha.ServerReflection]);
  return [
    reflectionMethod(v1.ServerReflection.method.serverReflectionInfo, shutdown, (request) =>
      create(v1.ServerReflectionResponseSchema, {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(index, request.messageRequest),
      }),
    ),
    reflectionMethod(v1alpha.ServerReflection.method.serverReflectionInfo, shutdown, (request) =>
      create(v1alpha.ServerReflectionResponseSchema, {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(index, request.messageRequest),
      }),
    ),
  ];
}

function reflectionMethod<I extends DescMessage, O extends DescMessage>(
  method: DescMethodBiDiStreaming<I, O>,
  shutdown: AbortSignal | undefined,
  respond: (request: MessageShape<I>) => MessageShape<O>,
): RpcMethod {
  return bidiStreaming(method, async (requests, call, out) => {
    const answerAll = async () => {
      for await (const request of requests) {
        out.push(respond(request), ANSWER_BYTES);
        await out.full();
      }
    };
    await unlessAborted(answerAll(), call.signal, shutdown);
  });
}

/** About the size of an answer with the descriptors of a service. */
const ANSWER_BYTES = 32 * 1024;

type Answer =
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array<ArrayBuffer>[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

function answer(index: DescriptorIndex, question: Question): Answer {
  switch (question.case) {
    case "listServices":
      return {
        case: "listServicesResponse",
        value: { service: index.services.map((name) => ({ name })) },
      };
    case "fileByFilename":
      return files(index.fileByName(question.value), question.value);
    case "fileContainingSymbol":
      return files(index.fileBySymbol(question.value), question.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      return files(
        index.fileByExtension(containingType, extensionNumber),
        `extension ${extensionNumber} of ${containingType}`,
      );
    }
    case "allExtensionNumbersOfType": {
      const numbers = index.extensionNumbers(question.value);
      if (!numbers) return failure(NOT_FOUND, `${question.value} was not found`);
      const value = { baseTypeName: question.value, extensionNumber: [...numbers] };
      return { case: "allExtensionNumbersResponse", value };
    }
    case undefined:
      return failure(INVALID_ARGUMENT, "the request asks for nothing");
    default:
      throw new GatewayError("INTERNAL", "internal error", { cause: question satisfies never });
  }
}

function files(found: readonly Uint8Array<ArrayBuffer>[] | undefined, name: string): Answer {
  if (!found) return failure(NOT_FOUND, `${name} was not found`);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: [...found] } };
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
