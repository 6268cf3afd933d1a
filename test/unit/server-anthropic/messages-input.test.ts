import { expect, test } from "vitest";
import { toMessagesInput } from "../../../src/server/anthropic/messages-input.ts";

const message = (role: string, ...parts: readonly unknown[]) => ({ role, name: undefined, parts });
const text = (value: string) => ({ kind: "text", text: value });

test("a conversation is read with its pictures, tool calls and results, each in its place", () => {
  const { input, untranslatable, ignored } = toMessagesInput(
    {
      system: [
        { type: "text", text: "Be brief." },
        { type: "text", text: "Be kind.", cache_control: { type: "ephemeral" } },
      ],
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
            { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "Hm.", signature: "c2ln" },
            { type: "redacted_thinking", data: "x" },
            { type: "text", text: "Let me see." },
            { type: "tool_use", id: "t1", name: "look", input: { at: "it" } },
            { type: "tool_use", id: "t2", name: "look" },
          ],
        },
        {
          role: "user",
          content: [
            { type: "text", text: "Here:" },
            { type: "tool_result", tool_use_id: "t1", content: "a dot" },
            {
              type: "tool_result",
              tool_use_id: "t2",
              is_error: true,
              content: [
                { type: "text", text: "too " },
                { type: "text", text: "dark" },
              ],
            },
          ],
        },
        { role: "system", content: "Be quick." },
      ],
      tools: [
        { name: "look", description: "Looks.", input_schema: { type: "object" }, strict: true },
        { type: "custom", name: "other", input_schema: {}, defer_loading: false, input_examples: [{}] },
      ],
      tool_choice: { type: "tool", name: "look", disable_parallel_tool_use: true },
      output_config: { format: { type: "json_schema", schema: { type: "object" } } },
      ...{ max_tokens: 7, temperature: 0.5, top_p: 0.9, stop_sequences: ["END"] },
      thread: { type: "create" },
    },
    "person-7",
  );
  expect(untranslatable).toEqual([]);
  expect(ignored).toEqual(["cache_control", "input_examples"]);
  expect(input).toEqual({
    messages: [
      message("system", text("Be brief."), text("Be kind.")),
      message(
        "user",
        text("What is it?"),
        { kind: "image", source: { kind: "url", url: "https://example.com/a.png" }, detail: undefined },
        { kind: "image", source: { kind: "url", url: "data:image/png;base64,AAAA" }, detail: undefined },
      ),
      message(
        "assistant",
        { kind: "reasoning", text: "Hm." },
        text("Let me see."),
        { kind: "tool_call", id: "t1", name: "look", argumentsJson: '{"at":"it"}' },
        { kind: "tool_call", id: "t2", name: "look", argumentsJson: "{}" },
      ),
      message("tool", { kind: "tool_result", toolCallId: "t1", text: "a dot" }),
      message("tool", { kind: "tool_result", toolCallId: "t2", text: "too dark", isError: true }),
      message("user", text("Here:")),
      message("system", text("Be quick.")),
    ],
    tools: [
      { name: "look", description: "Looks.", parametersJsonSchema: '{"type":"object"}', strict: true },
      { name: "other", description: undefined, parametersJsonSchema: "{}", strict: undefined },
    ],
    toolChoice: { kind: "tool", name: "look" },
    parallelToolCalls: false,
    responseFormat: { kind: "json_schema", name: "answer", schemaJson: '{"type":"object"}', strict: true },
    ...{ maxOutputTokens: 7, temperature: 0.5, topP: 0.9, stop: ["END"], seed: undefined },
    endUser: "person-7",
  });
});

test.each([
  [{ type: "auto" }, { kind: "auto" }],
  [{ type: "none" }, { kind: "none" }],
  [{ type: "any", disable_parallel_tool_use: false }, { kind: "required" }],
  [undefined, undefined],
])("the choice %j is read as %j", (choice, expected) => {
  const { input, untranslatable } = toMessagesInput({ messages: [], tool_choice: choice }, undefined);
  expect([input.toolChoice, input.parallelToolCalls, untranslatable]).toEqual([expected, undefined, []]);
});

const user = (...content: readonly unknown[]) => ({ messages: [{ role: "user", content }] });
const result = (...content: readonly unknown[]) => user({ type: "tool_result", tool_use_id: "t", content });
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } };

test.each([
  ["messages[0].content[0]", user({ type: "document", source: { type: "url", url: "https://x/y.pdf" } })],
  ["messages[0].content[1]", user({ type: "text", text: "a" }, { type: "server_tool_use" })],
  ["messages[0].content[0]", user({ type: "image", source: { type: "file", file_id: "f" } })],
  ["messages[0].content[0]", user(null)],
  ["messages[0].content[0].content[0]", result(image)],
  [
    "messages[0].content[0].content[1]",
    result({ type: "text", text: "a" }, { type: "tool_result", content: [] }),
  ],
  ["messages[0].role", { messages: [{ role: "tool", content: "4" }] }],
  ["system[0]", { system: [{ type: "image" }] }],
  ["tools[0]", { tools: [{ type: "web_search_20260318", name: "web_search" }] }],
  ["tool_choice", { tool_choice: { type: "some" } }],
  ["output_config.format", { output_config: { format: { type: "grammar" } } }],
  ["mcp_servers", { mcp_servers: [] }],
  ["container", { container: "c" }],
  ["thread", { thread: { type: "continue", previous_message_id: "msg_1" } }],
  ["max_tokens", { max_tokens: 0 }],
])("what cannot be said in another dialect is named: %s", (path, body) => {
  expect(toMessagesInput({ messages: [], ...body }, undefined).untranslatable).toEqual([path]);
});

test("a turn that only Anthropic can read is left out", () => {
  const content = [{ type: "redacted_thinking", data: "x" }];
  const { input, untranslatable } = toMessagesInput(
    { messages: [{ role: "assistant", content }] },
    undefined,
  );
  expect([input.messages, untranslatable]).toEqual([[], []]);
});

test("nonsense is left to the provider to refuse", () => {
  const body = {
    messages: ["x", null, { role: "user", content: 7 }],
    temperature: "hot",
    stop_sequences: [1],
  };
  const { input } = toMessagesInput(body, undefined);
  expect(input.messages).toHaveLength(3);
  expect(input).toMatchObject({ temperature: undefined, stop: [], maxOutputTokens: undefined });
});
