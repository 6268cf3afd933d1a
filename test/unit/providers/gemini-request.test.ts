import { describe, expect, it } from "vitest";
import type { CompletionInput, Message } from "../../../src/core/completion.ts";
import { createGeminiDialect } from "../../../src/providers/gemini/dialect.ts";
import { inputOf, messageOf, refusalOf, userMessage } from "../../support/provider-calls.ts";

const dialect = createGeminiDialect([]);

function requestOf(overrides: Partial<CompletionInput>): unknown {
  const input = { ...inputOf([userMessage("Hello")]), ...overrides };
  // As it goes over the wire: members that are undefined are gone.
  return JSON.parse(JSON.stringify(dialect.toBody({ model: "m", input, stream: false })));
}

const refusal = (overrides: Partial<CompletionInput>) => refusalOf(() => requestOf(overrides));
const ofMessages = (...messages: Message[]) => requestOf({ messages });
const SCHEMA = { type: "object", properties: { city: { type: "string" } } };
const TOOL = { name: "f", description: "d", parametersJsonSchema: JSON.stringify(SCHEMA), strict: undefined };

describe("a request in Gemini's dialect", () => {
  it("carries all parameters", () => {
    expect(
      requestOf({
        tools: [TOOL],
        toolChoice: { kind: "tool", name: "f" },
        responseFormat: { kind: "json_schema", name: "s", schemaJson: JSON.stringify(SCHEMA), strict: true },
        maxOutputTokens: 100,
        temperature: 0,
        topP: 0.5,
        stop: ["END"],
        seed: 42n,
        endUser: "only on the ledger",
      }),
    ).toEqual({
      contents: [{ role: "user", parts: [{ text: "Hello" }] }],
      tools: [{ functionDeclarations: [{ name: "f", description: "d", parametersJsonSchema: SCHEMA }] }],
      toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["f"] } },
      generationConfig: {
        maxOutputTokens: 100,
        temperature: 0,
        topP: 0.5,
        stopSequences: ["END"],
        seed: 42,
        responseMimeType: "application/json",
        responseJsonSchema: SCHEMA,
      },
    });
  });

  it.each([
    ["auto", "AUTO"],
    ["none", "NONE"],
    ["required", "ANY"],
  ] as const)("says tool choice %s as %s", (kind, mode) => {
    expect(requestOf({ tools: [TOOL], toolChoice: { kind } })).toMatchObject({
      toolConfig: { functionCallingConfig: { mode } },
    });
  });

  it("names the function in a result, and says of a call that its signature is not known", () => {
    expect(
      ofMessages(
        messageOf("system", { kind: "text", text: "Be brief." }),
        userMessage("Hi"),
        messageOf("assistant", { kind: "tool_call", id: "c1", name: "f", argumentsJson: "" }),
        messageOf("tool", { kind: "tool_result", toolCallId: "c1", text: "7" }),
        userMessage("So?"),
      ),
    ).toEqual({
      systemInstruction: { parts: [{ text: "Be brief." }] },
      contents: [
        { role: "user", parts: [{ text: "Hi" }] },
        {
          role: "model",
          parts: [
            {
              functionCall: { name: "f", args: {} },
              thoughtSignature: "skip_thought_signature_validator",
            },
          ],
        },
        {
          role: "user",
          parts: [{ functionResponse: { name: "f", response: { output: "7" } } }, { text: "So?" }],
        },
      ],
    });
  });

  it("keeps a model's name within its part of the path", () => {
    const path = dialect.toPath({ model: "../files/x?y#z", input: inputOf([]), stream: true });
    expect(path).toBe("/models/..%2Ffiles%2Fx%3Fy%23z:streamGenerateContent?alt=sse");
  });

  it.each<[string, Partial<CompletionInput>, string]>([
    ["the name of a message", { messages: [{ ...userMessage("x"), name: "ann" }] }, "names"],
    ["strict tools", { tools: [{ ...TOOL, strict: true }] }, "strict"],
    ["one tool call at a time", { tools: [TOOL], parallelToolCalls: false }, "one tool call"],
    [
      "a system message amid the others",
      { messages: [userMessage("x"), messageOf("system", { kind: "text", text: "y" })] },
      "system",
    ],
    [
      "a result without its call",
      { messages: [messageOf("tool", { kind: "tool_result", toolCallId: "c9", text: "7" })] },
      "without its call",
    ],
  ])("refuses %s before anything is sent", (_name, overrides, mentions) => {
    const error = refusal(overrides);
    expect(error).toMatchObject({ reason: "PROVIDER_INVALID_REQUEST", billing: "not_billed" });
    expect(error.message).toContain(mentions);
  });
});
