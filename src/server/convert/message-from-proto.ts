import {
  ImageDetail as ImageDetailProto,
  type Image as ImageProto,
  type Message as MessageProto,
  type Part as PartProto,
  Role,
} from "../../../gen/es/llmgateway/v1/content_pb.ts";
import type { ImageDetail, ImageSource, Message, MessagePart, MessageRole } from "../../core/completion.ts";
import type { Violations } from "./violations.ts";

/** Which parts a message of each role may have. */
const PARTS_OF_ROLE: Readonly<Record<MessageRole, ReadonlySet<MessagePart["kind"]>>> = {
  system: new Set(["text"]),
  user: new Set(["text", "image"]),
  assistant: new Set(["text", "tool_call", "refusal", "reasoning"]),
  tool: new Set(["tool_result"]),
};

/** A message of a conversation. What does not fit together is added to the violations, under `path`. */
export function messageFromProto(proto: MessageProto, path: string, violations: Violations): Message {
  const role = roleFromProto(proto.role);
  if (!role) violations.add(`${path}.role`, "message.role", "is not a role");
  const parts: MessagePart[] = [];
  proto.parts.forEach((partProto, index) => {
    const partPath = `${path}.parts[${index}]`;
    const part = partFromProto(partProto);
    if (!part) {
      violations.add(partPath, "part.content", "has no content");
      return;
    }
    if (role && !PARTS_OF_ROLE[role].has(part.kind)) {
      violations.add(
        `${partPath}.${part.kind}`,
        "part.role",
        `a ${part.kind} does not belong in a message of the ${role}`,
      );
    }
    parts.push(part);
  });
  return { role: role ?? "user", name: proto.name === "" ? undefined : proto.name, parts };
}

function roleFromProto(role: Role): MessageRole | undefined {
  switch (role) {
    case Role.SYSTEM:
      return "system";
    case Role.USER:
      return "user";
    case Role.ASSISTANT:
      return "assistant";
    case Role.TOOL:
      return "tool";
    case Role.UNSPECIFIED:
      return undefined;
    default:
      // What a later version of the contract may add.
      return undefined;
  }
}

function partFromProto({ content }: PartProto): MessagePart | undefined {
  switch (content.case) {
    case "text":
    case "refusal":
    case "reasoning":
      return { kind: content.case, text: content.value };
    case "image":
      return imageFromProto(content.value);
    case "toolCall": {
      const { id, name, argumentsJson } = content.value;
      return { kind: "tool_call", id, name, argumentsJson };
    }
    case "toolResult": {
      const { toolCallId, text } = content.value;
      return { kind: "tool_result", toolCallId, text };
    }
    case undefined:
      return undefined;
    default:
      return content satisfies never;
  }
}

function imageFromProto(image: ImageProto): MessagePart | undefined {
  const source = imageSourceFromProto(image);
  return source && { kind: "image", source, detail: detailFromProto(image.detail) };
}

function imageSourceFromProto({ source }: ImageProto): ImageSource | undefined {
  switch (source.case) {
    case "url":
      return { kind: "url", url: source.value };
    case "inline":
      return { kind: "bytes", bytes: source.value.data, mediaType: source.value.mediaType };
    case undefined:
      return undefined;
    default:
      return source satisfies never;
  }
}

function detailFromProto(detail: ImageDetailProto): ImageDetail | undefined {
  switch (detail) {
    case ImageDetailProto.LOW:
      return "low";
    case ImageDetailProto.HIGH:
      return "high";
    case ImageDetailProto.UNSPECIFIED:
      return undefined;
    default:
      // What a later version of the contract may add.
      return undefined;
  }
}
