import { expect, test } from "vitest";
import { parseResponsesRequest } from "../../../src/server/openai/responses-request.ts";

const parse = (body: object) =>
  parseResponsesRequest(Buffer.from(JSON.stringify({ model: "openai/gpt-6", input: "Hi", ...body })));

test("what the model reads is read for estimates: instructions, turns, tools, schema", () => {
  const { input, customTools } = parse({
    instructions: "Be brief.",
    input: [
      { role: "developer", content: "Be kind." },
      {
        role: "user",
        content: [
          { type: "input_text", text: "What is it?" },
          { type: "input_image", image_url: "https://example.com/a.png", detail: "low" },
          { type: "input_file", file_url: "https://example.com/a.pdf" },
        ],
      },
      { type: "reasoning", summary: [{ type: "summary_text", text: "Hm." }] },
      { type: "message", role: "assistant", content: [{ type: "refusal", refusal: "No." }] },
      { type: "custom_tool_call", call_id: "c1", name: "run", input: "ls" },
      { type: "custom_tool_call_output", call_id: "c1", output: [{ type: "input_text", text: "a.txt" }] },
      { type: "invented_in_2030", content: null },
    ],
    tools: [
      { type: "function", name: "look", description: "Looks.", parameters: { type: "object" }, strict: true },
      { type: "custom", name: "run" },
      { type: "web_search" },
    ],
    text: { format: { type: "json_schema", name: "s", schema: { type: "object" }, strict: true } },
    ...{ max_output_tokens: 7, temperature: 0.5, top_p: 0.9 },
  });
  const part = (kind: "text" | "reasoning", text: string) => ({ kind, text });
  expect(input.messages.map(({ role, parts }) => [role, parts])).toEqual([
    ["system", [part("text", "Be brief.")]],
    ["system", [part("text", "Be kind.")]],
    [
      "user",
      [
        part("text", "What is it?"),
        { kind: "image", source: { kind: "url", url: "https://example.com/a.png" }, detail: "low" },
      ],
    ],
    ["assistant", [part("reasoning", "Hm.")]],
    ["assistant", [part("text", "No.")]],
    ["assistant", [{ kind: "tool_call", id: "c1", name: "run", argumentsJson: "ls" }]],
    ["tool", [{ kind: "tool_result", toolCallId: "c1", text: "a.txt" }]],
    ["user", []],
  ]);
  expect(input.tools.map(({ name }) => name)).toEqual(["look", "run", "web_search"]);
  expect(input).toMatchObject({ maxOutputTokens: 7, temperature: 0.5, topP: 0.9 });
  expect(input.responseFormat).toMatchObject({ kind: "json_schema", schemaJson: '{"type":"object"}' });
  expect(customTools).toEqual(new Set(["run"]));
});

test("a text alone is what the user says", () => {
  const [message] = parse({}).input.messages;
  expect(message).toMatchObject({ role: "user", parts: [{ kind: "text", text: "Hi" }] });
});

test.each<readonly [string, object, boolean]>([
  ["nothing", {}, false],
  ["members that are empty", { previous_response_id: null, conversation: null, prompt: null }, false],
  ["an earlier response", { previous_response_id: "resp_1" }, true],
  ["a conversation", { conversation: { id: "conv_1" } }, true],
  ["a kept prompt", { prompt: { id: "pmpt_1" } }, true],
  ["an item", { input: [{ type: "item_reference", id: "msg_1" }] }, true],
  ["encrypted reasoning", { input: [{ type: "reasoning", encrypted_content: "gAAA" }] }, true],
  ["reasoning in plain words", { input: [{ type: "reasoning", summary: [] }] }, false],
  ["a file", { input: [{ role: "user", content: [{ type: "input_file", file_id: "file_1" }] }] }, true],
  [
    "a file that a tool gave",
    { input: [{ type: "function_call_output", output: [{ file_id: "f" }] }] },
    true,
  ],
])("a request that refers to %s stays with one provider: %j is %s", (_, body, expected) => {
  expect(parse(body).native.staysWithProvider).toBe(expected);
});
