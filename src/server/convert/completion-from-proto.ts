import {
  type CompleteRequest,
  Recovery as RecoveryProto,
} from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import {
  type ResponseFormat as ResponseFormatProto,
  ToolChoiceMode,
  type ToolChoice as ToolChoiceProto,
  type Tool as ToolProto,
} from "../../../gen/es/llmgateway/v1/content_pb.ts";
import type { CompletionInput, ResponseFormat, Tool, ToolChoice } from "../../core/completion.ts";
import type { CompletionCall } from "../../core/gateway.ts";
import type { Recovery } from "../../core/route.ts";
import type { AuthenticatedCall } from "../rpc/call-context.ts";
import { messageFromProto } from "./message-from-proto.ts";
import { Violations } from "./violations.ts";

/**
 * A completion as the core takes it. `path` is the field that holds the request, e.g. `request.`; empty for the
 * message itself.
 * @throws GatewayError INVALID_REQUEST with what does not fit together
 */
export function completionFromProto(
  proto: CompleteRequest,
  call: AuthenticatedCall,
  path = "",
): CompletionCall {
  const violations = new Violations();
  const input = inputFromProto(proto, path, violations);
  violations.throwIfAny();
  return {
    requestId: call.requestId,
    // An id in a header names a call for logs; proxies give one to many calls.
    repeatable: proto.requestId !== "",
    principal: call.principal,
    model: proto.model,
    fallbackModels: proto.fallbackModels,
    // Each side has at most 16, so that together they stay within what the ledger keeps.
    tags: { ...call.principal.tags, ...proto.tags },
    endUser: optionalText(proto.endUser),
    input,
    deadlineAtMs: call.deadlineAtMs,
    signal: call.signal,
    telemetry: call.telemetry,
  };
}

/** Undefined: as the route says. */
export function recoveryFromProto(recovery: RecoveryProto): Recovery | undefined {
  switch (recovery) {
    case RecoveryProto.OFF:
      return "off";
    case RecoveryProto.RESTART:
      return "restart";
    case RecoveryProto.UNSPECIFIED:
      return undefined;
    default:
      // What a later version of the contract may add.
      return undefined;
  }
}

function inputFromProto(proto: CompleteRequest, path: string, violations: Violations): CompletionInput {
  return {
    messages: proto.messages.map((message, index) =>
      messageFromProto(message, `${path}messages[${index}]`, violations),
    ),
    tools: toolsFromProto(proto.tools, path, violations),
    toolChoice: proto.toolChoice && toolChoiceFromProto(proto.toolChoice, proto.tools, path, violations),
    parallelToolCalls: proto.parallelToolCalls,
    responseFormat: proto.responseFormat && formatFromProto(proto.responseFormat, path, violations),
    maxOutputTokens: proto.maxOutputTokens,
    temperature: proto.temperature,
    topP: proto.topP,
    stop: proto.stop,
    seed: proto.seed,
    endUser: optionalText(proto.endUser),
  };
}

function toolsFromProto(tools: readonly ToolProto[], path: string, violations: Violations): readonly Tool[] {
  const names = new Set<string>();
  return tools.map((tool, index) => {
    const toolPath = `${path}tools[${index}]`;
    if (names.has(tool.name))
      violations.add(`${toolPath}.name`, "tool.name.unique", "names another tool as well");
    names.add(tool.name);
    const schema = optionalText(tool.parametersJsonSchema);
    if (schema !== undefined) checkJsonObject(schema, `${toolPath}.parameters_json_schema`, violations);
    return {
      name: tool.name,
      description: optionalText(tool.description),
      parametersJsonSchema: schema,
      strict: tool.strict,
    };
  });
}

function toolChoiceFromProto(
  { choice }: ToolChoiceProto,
  tools: readonly ToolProto[],
  path: string,
  violations: Violations,
): ToolChoice | undefined {
  switch (choice.case) {
    case "mode":
      return toolChoiceMode(choice.value);
    case "toolName":
      if (!tools.some((tool) => tool.name === choice.value))
        violations.add(`${path}tool_choice.tool_name`, "tool_choice.unknown", "names none of the tools");
      return { kind: "tool", name: choice.value };
    case undefined:
      return undefined;
    default:
      return choice satisfies never;
  }
}

function toolChoiceMode(mode: ToolChoiceMode): ToolChoice | undefined {
  switch (mode) {
    case ToolChoiceMode.AUTO:
      return { kind: "auto" };
    case ToolChoiceMode.NONE:
      return { kind: "none" };
    case ToolChoiceMode.REQUIRED:
      return { kind: "required" };
    case ToolChoiceMode.UNSPECIFIED:
      return undefined;
    default:
      // What a later version of the contract may add.
      return undefined;
  }
}

function formatFromProto(
  { format }: ResponseFormatProto,
  path: string,
  violations: Violations,
): ResponseFormat | undefined {
  switch (format.case) {
    case "text":
      return { kind: "text" };
    case "jsonObject":
      return { kind: "json_object" };
    case "jsonSchema": {
      const { name, schemaJson, strict } = format.value;
      checkJsonObject(schemaJson, `${path}response_format.json_schema.schema_json`, violations);
      return { kind: "json_schema", name, schemaJson, strict };
    }
    case undefined:
      return undefined;
    default:
      return format satisfies never;
  }
}

function checkJsonObject(text: string, path: string, violations: Violations): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    violations.add(path, "json.syntax", "is not JSON");
    return;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    violations.add(path, "json.object", "is not a JSON object");
}

function optionalText(text: string): string | undefined {
  return text === "" ? undefined : text;
}
