import { expect, test } from "vitest";
import { toChatInput } from "../../../src/server/openai/chat-input.ts";

test("a conversation is read with its pictures, tool calls and results", () => {
  const { input, untranslatable } = toChatInput(
    {
      messages: [
        { role: "developer", content: "Be brief." },
        {
          role: "user",
          name: "Ann",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image_url", image_url: { url: "https://example.com/a.png", detail: "low" } },
          ],
        },
        {
          role: "assistant",
          content: null,
          reasoning_content: "Hm.",
          tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "a dot" }] },
      ],
      tools: [
        {
          type: "function",
          function: { name: "look", description: "Looks.", parameters: { type: "object" }, strict: true },
        },
      ],
      tool_choice: { type: "function", function: { name: "look" } },
      response_format: {
        type: "json_schema",
        json_schema: { name: "s", schema: { type: "object" }, strict: true },
      },
      ...{ max_tokens: 5, max_completion_tokens: 7, temperature: 0.5, top_p: 0.9, stop: "END", seed: 7 },
      parallel_tool_calls: false,
    },
    "person-7",
  );
  expect(untranslatable).toEqual([]);
  expect(input).toEqual({
    messages: [
      { role: "system", name: undefined, parts: [{ kind: "text", text: "Be brief." }] },
      {
        role: "user",
        name: "Ann",
        parts: [
          { kind: "text", text: "What is it?" },
          { kind: "image", source: { kind: "url", url: "https://example.com/a.png" }, detail: "low" },
        ],
      },
      {
        role: "assistant",
        name: undefined,
        parts: [
          { kind: "reasoning", text: "Hm." },
          { kind: "tool_call", id: "c1", name: "look", argumentsJson: "{}" },
        ],
      },
      { role: "tool", name: undefined, parts: [{ kind: "tool_result", toolCallId: "c1", text: "a dot" }] },
    ],
    tools: [{ name: "look", description: "Looks.", parametersJsonSchema: '{"type":"object"}', strict: true }],
    toolChoice: { kind: "tool", name: "look" },
    parallelToolCalls: false,
    responseFormat: { kind: "json_schema", name: "s", schemaJson: '{"type":"object"}', strict: true },
    ...{ maxOutputTokens: 7, temperature: 0.5, topP: 0.9, stop: ["END"], seed: 7n, endUser: "person-7" },
  });
});

test.each([
  ["messages[0].content[0]", { messages: [{ role: "user", content: [{ type: "input_audio" }] }] }],
  ["messages[0].role", { messages: [{ role: "function", content: "4" }] }],
  ["messages[0].audio", { messages: [{ role: "assistant", audio: { id: "a" } }] }],
  ["messages[0].tool_calls[0]", { messages: [{ role: "assistant", tool_calls: [{ type: "custom" }] }] }],
  ["tools[0]", { tools: [{ type: "custom", custom: {} }] }],
  ["tool_choice", { tool_choice: { type: "allowed_tools" } }],
  ["functions", { functions: [] }],
  ["response_format", { response_format: { type: "grammar" } }],
])("what cannot be said in another dialect is named: %s", (path, body) => {
  expect(toChatInput({ messages: [], ...body }, undefined).untranslatable).toEqual([path]);
});

test("nonsense is left to the provider to refuse", () => {
  const body = {
    messages: ["x", null, { role: "user", content: 7 }],
    temperature: "hot",
    seed: 1.5,
    stop: [1],
  };
  const { input } = toChatInput(body, undefined);
  expect(input.messages).toHaveLength(3);
  expect(input).toMatchObject({ temperature: undefined, seed: undefined, stop: [] });
});
