import { expect, test } from "vitest";
import { toMessagesRequest } from "../../../src/providers/anthropic/to-request.ts";
import { toConverse } from "../../../src/providers/bedrock/to-request.ts";
import { toGenerateContent } from "../../../src/providers/gemini/to-request.ts";
import { toChatRequest } from "../../../src/providers/openai-chat/to-request.ts";
import { openaiProfile } from "../../../src/providers/profiles/openai.ts";
import { inputOf, messageOf } from "../../support/provider-calls.ts";

/** How each dialect says that a tool failed. */

const call = {
  ...{ model: "m", stream: false },
  input: inputOf([
    messageOf("assistant", { kind: "tool_call", id: "c", name: "f", argumentsJson: "{}" }),
    messageOf("tool", { kind: "tool_result", toolCallId: "c", text: "too dark", isError: true }),
  ]),
};

test("Anthropic and Bedrock are told that the result is an error", () => {
  expect(toMessagesRequest(call).messages[1]?.content).toEqual([
    { type: "tool_result", tool_use_id: "c", content: "too dark", is_error: true },
  ]);
  expect(toConverse(call).messages[1]?.content).toEqual([
    { toolResult: { toolUseId: "c", content: [{ text: "too dark" }], status: "error" } },
  ]);
});

test("Gemini gets it as an error instead of an output", () => {
  expect(toGenerateContent(call).contents[1]?.parts).toEqual([
    { functionResponse: { name: "f", response: { error: "too dark" } } },
  ]);
});

test("OpenAI has no place for it, and gets the text, which says so itself", () => {
  expect(toChatRequest(call, openaiProfile).messages[1]).toEqual({
    ...{ role: "tool", tool_call_id: "c", content: "too dark" },
  });
});
