import { describe, expect, it } from "vitest";
import type { CompletionInput, Message } from "../../../src/core/completion.ts";
import { createBedrockDialect } from "../../../src/providers/bedrock/dialect.ts";
import { inputOf, messageOf, refusalOf, userMessage } from "../../support/provider-calls.ts";

const dialect = createBedrockDialect([]);

function requestOf(overrides: Partial<CompletionInput>): unknown {
  const input = { ...inputOf([userMessage("Hello")]), ...overrides };
  // As it goes over the wire: members that are undefined are gone.
  return JSON.parse(JSON.stringify(dialect.toBody({ model: "m", input, stream: false })));
}

const ofMessages = (...messages: Message[]) => requestOf({ messages });
const SCHEMA = JSON.stringify({ type: "object", properties: { city: { type: "string" } } });
const TOOL = { name: "f", description: "d", parametersJsonSchema: SCHEMA, strict: true };
const imageOf = (url: string, detail?: "low") =>
  messageOf("user", { kind: "image", source: { kind: "url", url }, detail });

describe("a request in Bedrock's dialect", () => {
  it("carries all parameters", () => {
    expect(
      requestOf({
        tools: [TOOL],
        toolChoice: { kind: "tool", name: "f" },
        responseFormat: { kind: "json_schema", name: "s", schemaJson: SCHEMA, strict: true },
        maxOutputTokens: 100,
        temperature: 0,
        topP: 0.5,
        stop: ["END"],
        endUser: "only on the ledger",
      }),
    ).toEqual({
      messages: [{ role: "user", content: [{ text: "Hello" }] }],
      inferenceConfig: { maxTokens: 100, temperature: 0, topP: 0.5, stopSequences: ["END"] },
      toolConfig: {
        tools: [
          {
            toolSpec: {
              name: "f",
              description: "d",
              inputSchema: { json: JSON.parse(SCHEMA) },
              strict: true,
            },
          },
        ],
        toolChoice: { tool: { name: "f" } },
      },
      outputConfig: {
        textFormat: { type: "json_schema", structure: { jsonSchema: { name: "s", schema: SCHEMA } } },
      },
    });
  });

  it("carries a conversation with tools and an image, whose roles alternate", () => {
    expect(
      ofMessages(
        messageOf("system", { kind: "text", text: "Be brief." }),
        imageOf("data:image/png;base64,AQID"),
        userMessage("What is it?"),
        messageOf("assistant", { kind: "tool_call", id: "c1", name: "f", argumentsJson: '{"a":1}' }),
        messageOf("tool", { kind: "tool_result", toolCallId: "c1", text: "7" }),
      ),
    ).toEqual({
      system: [{ text: "Be brief." }],
      messages: [
        {
          role: "user",
          content: [{ image: { format: "png", source: { bytes: "AQID" } } }, { text: "What is it?" }],
        },
        { role: "assistant", content: [{ toolUse: { toolUseId: "c1", name: "f", input: { a: 1 } } }] },
        { role: "user", content: [{ toolResult: { toolUseId: "c1", content: [{ text: "7" }] } }] },
      ],
    });
  });

  it("keeps a model's name, an ARN too, within its part of the path", () => {
    const model = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.x-v1:0";
    const path = dialect.toPath({ model, input: inputOf([]), stream: true });
    expect(path).toBe(`/model/${encodeURIComponent(model)}/converse-stream`);
    expect(path.split("/")).toHaveLength(4);
  });

  it.each<[string, Partial<CompletionInput>, string]>([
    ["a seed", { seed: 1n }, "seed"],
    ["the name of a message", { messages: [{ ...userMessage("x"), name: "ann" }] }, "names"],
    ["JSON without a schema", { responseFormat: { kind: "json_object" } }, "schema"],
    ["tools that may not be called", { tools: [TOOL], toolChoice: { kind: "none" } }, "not to call"],
    ["one tool call at a time", { tools: [TOOL], parallelToolCalls: false }, "one tool call"],
    ["an image to be fetched", { messages: [imageOf("https://a.example/b.png")] }, "fetch"],
    ["an image of another kind", { messages: [imageOf("data:image/bmp;base64,AQID")] }, "PNG"],
    ["the detail of an image", { messages: [imageOf("data:image/png;base64,AQID", "low")] }, "detail"],
    [
      "a system message amid the others",
      { messages: [userMessage("x"), messageOf("system", { kind: "text", text: "y" })] },
      "system",
    ],
  ])("refuses %s before anything is sent", (_name, overrides, mentions) => {
    const error = refusalOf(() => requestOf(overrides));
    expect(error).toMatchObject({ reason: "PROVIDER_INVALID_REQUEST", billing: "not_billed" });
    expect(error.message).toContain(mentions);
  });
});
