import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CompleteRequestSchema } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { Role, ToolChoiceMode } from "../../../gen/es/llmgateway/v1/content_pb.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { completionFromProto } from "../../../src/server/convert/completion-from-proto.ts";
import type { AuthenticatedCall } from "../../../src/server/rpc/call-context.ts";
import { createMessageValidator } from "../../../src/server/rpc/message-validator.ts";
import { TEST_KEYS } from "../../support/rpc-server.ts";

type Init = MessageInitShape<typeof CompleteRequestSchema>;

const principal = TEST_KEYS["invoke-secret"];
const call = {
  requestId: "req-1",
  principal,
  deadlineAtMs: 5000,
  signal: new AbortController().signal,
  telemetry: {},
} as unknown as AuthenticatedCall;

const text = (value: string) => ({ content: { case: "text" as const, value } });
const image = {
  content: { case: "image" as const, value: { source: { case: "url" as const, value: "https://x/y.png" } } },
};
const toolCall = {
  content: { case: "toolCall" as const, value: { id: "c1", name: "search", argumentsJson: "{}" } },
};
const toolResult = { content: { case: "toolResult" as const, value: { toolCallId: "c1", text: "found" } } };

const convert = (init: Init) =>
  completionFromProto(create(CompleteRequestSchema, { model: "m", ...init }), call);

function violationsOf(init: Init): readonly (string | undefined)[][] {
  try {
    convert(init);
  } catch (error) {
    if (error instanceof GatewayError) {
      expect(error.reason).toBe("INVALID_REQUEST");
      return error.fieldViolations.map(({ field, reason }) => [field, reason]);
    }
    throw error;
  }
  return [];
}

test("a call may be repeated when its message has an id, and not when only the header has one", () => {
  const messages = [{ role: Role.USER, parts: [text("hi")] }];
  expect(convert({ messages, requestId: "req-1" })).toMatchObject({ requestId: "req-1", repeatable: true });
  expect(convert({ messages })).toMatchObject({ requestId: "req-1", repeatable: false });
});

test("a full request becomes a full call", () => {
  const result = convert({
    model: "openai/gpt-5-mini",
    fallbackModels: ["deepseek/deepseek-flash"],
    messages: [
      { role: Role.SYSTEM, parts: [text("Be brief.")] },
      { role: Role.USER, name: "ann", parts: [text("hi"), image] },
      { role: Role.ASSISTANT, parts: [toolCall] },
      { role: Role.TOOL, parts: [toolResult] },
    ],
    maxOutputTokens: 100,
    temperature: 0,
    topP: 0.5,
    seed: -1n,
    stop: ["END"],
    tools: [{ name: "search", parametersJsonSchema: '{"type":"object"}', strict: true }],
    toolChoice: { choice: { case: "toolName", value: "search" } },
    parallelToolCalls: false,
    responseFormat: { format: { case: "jsonSchema", value: { name: "s", schemaJson: "{}", strict: true } } },
    tags: { team: "ads", project: "x" },
    endUser: "u1",
  });
  expect(result).toMatchObject({
    requestId: "req-1",
    model: "openai/gpt-5-mini",
    fallbackModels: ["deepseek/deepseek-flash"],
    deadlineAtMs: 5000,
    endUser: "u1",
  });
  expect(result.tags).toEqual({ team: "ads", stage: "prod", project: "x" });
  expect(result.input).toEqual({
    messages: [
      { role: "system", name: undefined, parts: [{ kind: "text", text: "Be brief." }] },
      {
        role: "user",
        name: "ann",
        parts: [
          { kind: "text", text: "hi" },
          { kind: "image", source: { kind: "url", url: "https://x/y.png" }, detail: undefined },
        ],
      },
      {
        role: "assistant",
        name: undefined,
        parts: [{ kind: "tool_call", id: "c1", name: "search", argumentsJson: "{}" }],
      },
      { role: "tool", name: undefined, parts: [{ kind: "tool_result", toolCallId: "c1", text: "found" }] },
    ],
    tools: [
      { name: "search", description: undefined, parametersJsonSchema: '{"type":"object"}', strict: true },
    ],
    toolChoice: { kind: "tool", name: "search" },
    parallelToolCalls: false,
    responseFormat: { kind: "json_schema", name: "s", schemaJson: "{}", strict: true },
    maxOutputTokens: 100,
    temperature: 0,
    topP: 0.5,
    stop: ["END"],
    seed: -1n,
    endUser: "u1",
  });
});

test("what was not said stays unsaid", () => {
  const { input, endUser } = convert({ messages: [{ role: Role.USER, parts: [text("hi")] }] });
  expect(endUser).toBeUndefined();
  expect(input.temperature).toBeUndefined();
  expect(input.seed).toBeUndefined();
  expect(input.toolChoice).toBeUndefined();
  expect(input.responseFormat).toBeUndefined();
});

test.each([
  ["auto", ToolChoiceMode.AUTO],
  ["none", ToolChoiceMode.NONE],
  ["required", ToolChoiceMode.REQUIRED],
] as const)("tool choice %s", (kind, value) => {
  const { input } = convert({ toolChoice: { choice: { case: "mode", value } } });
  expect(input.toolChoice).toEqual({ kind });
});

describe("refuses", () => {
  test("parts in messages of the wrong role, all at once", () => {
    const messages = [
      { role: Role.SYSTEM, parts: [image] },
      { role: Role.USER, parts: [text("ok"), toolCall, toolResult] },
      { role: Role.ASSISTANT, parts: [toolResult] },
      { role: Role.TOOL, parts: [text("x")] },
    ];
    expect(violationsOf({ messages })).toEqual([
      ["messages[0].parts[0].image", "part.role"],
      ["messages[1].parts[1].tool_call", "part.role"],
      ["messages[1].parts[2].tool_result", "part.role"],
      ["messages[2].parts[0].tool_result", "part.role"],
      ["messages[3].parts[0].text", "part.role"],
    ]);
  });

  test.each(["[1]", "null", '"x"', "{", "7"])("a schema that is %s", (schema) => {
    const tools = [{ name: "a", parametersJsonSchema: schema }];
    const responseFormat = {
      format: { case: "jsonSchema" as const, value: { name: "s", schemaJson: schema } },
    };
    expect(violationsOf({ tools, responseFormat }).map(([field]) => field)).toEqual([
      "tools[0].parameters_json_schema",
      "response_format.json_schema.schema_json",
    ]);
  });

  test("tools of one name, and a choice that names none of them", () => {
    const toolChoice = { choice: { case: "toolName" as const, value: "c" } };
    expect(violationsOf({ tools: [{ name: "a" }, { name: "a" }], toolChoice })).toEqual([
      ["tools[1].name", "tool.name.unique"],
      ["tool_choice.tool_name", "tool_choice.unknown"],
    ]);
  });
});

describe("the rules of the proto", () => {
  const validate = createMessageValidator([CompleteRequestSchema]);
  const broken = (init: Init) => {
    const messages = [{ role: Role.USER, parts: [text("hi")] }];
    try {
      validate(CompleteRequestSchema, create(CompleteRequestSchema, { model: "m", messages, ...init }));
      return [];
    } catch (error) {
      return error instanceof GatewayError ? error.fieldViolations.map(({ field }) => field) : [error];
    }
  };

  test("hold", () => {
    expect(broken({})).toEqual([]);
    expect(broken({ requestId: "a b" })).toEqual(["request_id"]);
    expect(broken({ temperature: Number.NaN })).toEqual(["temperature"]);
    expect(broken({ topP: Number.POSITIVE_INFINITY })).toEqual(["top_p"]);
    expect(broken({ maxOutputTokens: 0 })).toEqual(["max_output_tokens"]);
    expect(broken({ tags: { "bad key": "x" } })).toEqual(['tags["bad key"]']);
    expect(broken({ messages: [{ role: Role.USER, parts: [{}] }] })).toEqual([
      "messages[0].parts[0].content",
    ]);
    expect(broken({ seed: 2n ** 53n })).toEqual(["seed"]);
  });
});
