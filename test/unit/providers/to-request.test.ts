import { describe, expect, it } from "vitest";
import type { CompletionInput, Message } from "../../../src/core/completion.ts";
import { toChatRequest } from "../../../src/providers/openai-chat/to-request.ts";
import { openaiProfile } from "../../../src/providers/profiles/openai.ts";
import { inputOf, messageOf, refusalOf, userMessage } from "../../support/provider-calls.ts";

function requestOf(overrides: Partial<CompletionInput>): unknown {
  const input = { ...inputOf([userMessage("Hello")]), ...overrides };
  // As it goes over the wire: members that are undefined are gone.
  return JSON.parse(JSON.stringify(toChatRequest({ model: "m", input, stream: false }, openaiProfile)));
}

const message = messageOf;
const refusalOfRequest = (overrides: Partial<CompletionInput>) => refusalOf(() => requestOf(overrides));

describe("a request in the OpenAI-chat dialect", () => {
  it("carries all parameters", () => {
    const schema = { type: "object", properties: { city: { type: "string" } } };
    expect(
      requestOf({
        tools: [
          { name: "f", description: "d", parametersJsonSchema: JSON.stringify(schema), strict: true },
          { name: "g", description: undefined, parametersJsonSchema: undefined, strict: undefined },
        ],
        toolChoice: { kind: "tool", name: "f" },
        parallelToolCalls: false,
        responseFormat: { kind: "json_schema", name: "s", schemaJson: JSON.stringify(schema), strict: true },
        maxOutputTokens: 100,
        temperature: 0,
        topP: 0.5,
        stop: ["END"],
        seed: 42n,
        endUser: "u",
      }),
    ).toEqual({
      model: "m",
      messages: [{ role: "user", content: "Hello" }],
      tools: [
        { type: "function", function: { name: "f", description: "d", parameters: schema, strict: true } },
        { type: "function", function: { name: "g" } },
      ],
      tool_choice: { type: "function", function: { name: "f" } },
      parallel_tool_calls: false,
      response_format: { type: "json_schema", json_schema: { name: "s", schema, strict: true } },
      max_completion_tokens: 100,
      temperature: 0,
      top_p: 0.5,
      stop: ["END"],
      seed: 42,
      user: "u",
    });
  });

  it("leaves parallel_tool_calls out when there are no tools, since OpenAI refuses it then", () => {
    expect(requestOf({ parallelToolCalls: true })).not.toHaveProperty("parallel_tool_calls");
  });

  it.each(["auto", "none", "required"] as const)("passes the tool choice %s as a word", (kind) => {
    expect(requestOf({ toolChoice: { kind } })).toMatchObject({ tool_choice: kind });
  });

  it.each(["text", "json_object"] as const)("passes the response format %s", (kind) => {
    expect(requestOf({ responseFormat: { kind } })).toMatchObject({ response_format: { type: kind } });
  });

  it("passes image URLs on and makes data URLs of image bytes", () => {
    const bytes = Uint8Array.of(0, 1, 2, 3, 255).subarray(1);
    const image = (source: Extract<Message["parts"][number], { kind: "image" }>["source"]) =>
      ({ kind: "image", source, detail: "low" }) as const;
    const parts = [
      { kind: "text", text: "What is this?" } as const,
      image({ kind: "url", url: "https://example.com/a.png" }),
      image({ kind: "bytes", bytes, mediaType: "image/png" }),
    ];
    expect(requestOf({ messages: [message("user", ...parts)] })).toMatchObject({
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: "https://example.com/a.png", detail: "low" } },
            { type: "image_url", image_url: { url: "data:image/png;base64,AQID/w==", detail: "low" } },
          ],
        },
      ],
    });
  });

  it("makes one message of each tool result, and keeps the calls with the assistant's turn", () => {
    const messages = [
      message("system", { kind: "text", text: "Be " }, { kind: "text", text: "brief." }),
      message(
        "assistant",
        { kind: "reasoning", text: "not sent to OpenAI" },
        { kind: "tool_call", id: "c1", name: "f", argumentsJson: "{}" },
        { kind: "tool_call", id: "c2", name: "f", argumentsJson: "{}" },
      ),
      message(
        "tool",
        { kind: "tool_result", toolCallId: "c1", text: "r1" },
        { kind: "tool_result", toolCallId: "c2", text: "r2" },
      ),
      message("assistant", { kind: "refusal", text: "no" }),
    ];
    const call = (id: string) => ({ id, type: "function", function: { name: "f", arguments: "{}" } });
    expect(requestOf({ messages })).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "assistant", content: null, tool_calls: [call("c1"), call("c2")] },
        { role: "tool", tool_call_id: "c1", content: "r1" },
        { role: "tool", tool_call_id: "c2", content: "r2" },
        { role: "assistant", content: null, refusal: "no" },
      ],
    });
  });

  it.each<[string, Partial<CompletionInput>]>([
    ["a seed above 2^53", { seed: 2n ** 60n }],
    ["tool parameters that are no JSON", { tools: [tool("{")] }],
    ["tool parameters that are no object", { tools: [tool("[]")] }],
    ["a tool message with text", { messages: [message("tool", { kind: "text", text: "x" })] }],
    ["a system message with a refusal", { messages: [message("system", { kind: "refusal", text: "x" })] }],
    ["a user message with reasoning", { messages: [message("user", { kind: "reasoning", text: "x" })] }],
    [
      "an assistant with a tool result",
      { messages: [message("assistant", { kind: "tool_result", toolCallId: "c", text: "x" })] },
    ],
  ])("refuses %s before anything is sent", (_name, overrides) => {
    expect(refusalOfRequest(overrides)).toMatchObject({
      reason: "PROVIDER_INVALID_REQUEST",
      billing: "not_billed",
    });
  });
});

function tool(parametersJsonSchema: string): CompletionInput["tools"][number] {
  return { name: "f", description: undefined, parametersJsonSchema, strict: undefined };
}
