import { describe, expect, it } from "vitest";
import type { CompletionInput, Message } from "../../../src/core/completion.ts";
import { toMessagesRequest } from "../../../src/providers/anthropic/to-request.ts";
import { inputOf, messageOf, refusalOf, userMessage } from "../../support/provider-calls.ts";

function requestOf(overrides: Partial<CompletionInput>): unknown {
  const input = { ...inputOf([userMessage("Hello")]), ...overrides };
  // As it goes over the wire: members that are undefined are gone.
  return JSON.parse(JSON.stringify(toMessagesRequest({ model: "m", input, stream: false })));
}

const refusal = (overrides: Partial<CompletionInput>) => refusalOf(() => requestOf(overrides));
const ofMessages = (...messages: Message[]) => requestOf({ messages });
const SCHEMA = { type: "object", properties: { city: { type: "string" } } };

describe("a request in Anthropic's dialect", () => {
  it("carries all parameters", () => {
    expect(
      requestOf({
        tools: [
          { name: "f", description: "d", parametersJsonSchema: JSON.stringify(SCHEMA), strict: true },
          { name: "g", description: undefined, parametersJsonSchema: undefined, strict: undefined },
        ],
        toolChoice: { kind: "tool", name: "f" },
        parallelToolCalls: false,
        responseFormat: { kind: "json_schema", name: "s", schemaJson: JSON.stringify(SCHEMA), strict: true },
        maxOutputTokens: 100,
        temperature: 0,
        topP: 0.5,
        stop: ["END"],
        endUser: "u",
      }),
    ).toEqual({
      model: "m",
      max_tokens: 100,
      messages: [{ role: "user", content: "Hello" }],
      tools: [
        { name: "f", description: "d", input_schema: SCHEMA, strict: true },
        { name: "g", input_schema: { type: "object" } },
      ],
      tool_choice: { type: "tool", name: "f", disable_parallel_tool_use: true },
      output_config: { format: { type: "json_schema", schema: SCHEMA } },
      temperature: 0,
      top_p: 0.5,
      stop_sequences: ["END"],
      metadata: { user_id: "u" },
    });
  });

  it.each([
    [{ kind: "auto" }, undefined, { type: "auto" }],
    [{ kind: "required" }, true, { type: "any" }],
    [{ kind: "none" }, undefined, { type: "none" }],
    [undefined, false, { type: "auto", disable_parallel_tool_use: true }],
    [undefined, true, undefined],
  ] as const)(
    "says tool choice %j with parallel calls %s as %j",
    (toolChoice, parallelToolCalls, expected) => {
      const tool = { name: "f", description: undefined, parametersJsonSchema: undefined, strict: undefined };
      expect(requestOf({ tools: [tool], toolChoice, parallelToolCalls })).toMatchObject(
        expected ? { tool_choice: expected } : {},
      );
    },
  );

  it("joins the system messages at the start, and leaves a later one where it is", () => {
    const system = (text: string) => messageOf("system", { kind: "text", text });
    expect(
      ofMessages(system("Be brief."), system("Be kind."), userMessage("Hi"), system("Now rhyme.")),
    ).toEqual({
      model: "m",
      max_tokens: 8_192,
      system: "Be brief.\n\nBe kind.",
      messages: [
        { role: "user", content: "Hi" },
        { role: "system", content: "Now rhyme." },
      ],
    });
  });

  it("puts the results of parallel calls and what the user says then into one message", () => {
    const call = (id: string) => ({ kind: "tool_call", id, name: "f", argumentsJson: '{"a":1}' }) as const;
    const result = (toolCallId: string) => ({ kind: "tool_result", toolCallId, text: "7" }) as const;
    expect(
      ofMessages(
        userMessage("Hi"),
        messageOf("assistant", { kind: "reasoning", text: "hm" }, call("c1"), call("c2")),
        messageOf("tool", result("c1")),
        messageOf("tool", result("c2")),
        userMessage("So?"),
      ),
    ).toMatchObject({
      messages: [
        { role: "user" },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "c1", name: "f", input: { a: 1 } },
            { type: "tool_use", id: "c2", name: "f", input: { a: 1 } },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "c1", content: "7" },
            { type: "tool_result", tool_use_id: "c2", content: "7" },
            { type: "text", text: "So?" },
          ],
        },
      ],
    });
  });

  it("carries images as bytes, as data: URLs and as URLs", () => {
    const bytes = { kind: "bytes", bytes: new Uint8Array([1, 2, 3]), mediaType: "image/png" } as const;
    const url = (text: string) => ({ kind: "url", url: text }) as const;
    const image = (source: typeof bytes | ReturnType<typeof url>) =>
      ({ kind: "image", source, detail: "auto" }) as const;
    const base64 = { type: "base64", media_type: "image/png", data: "AQID" };
    expect(
      ofMessages(
        messageOf(
          "user",
          image(bytes),
          image(url("data:image/png;base64,AQID")),
          image(url("https://a.example/b.png")),
        ),
      ),
    ).toMatchObject({
      messages: [
        {
          content: [
            { type: "image", source: base64 },
            { type: "image", source: base64 },
            { type: "image", source: { type: "url", url: "https://a.example/b.png" } },
          ],
        },
      ],
    });
  });

  it.each<[string, Partial<CompletionInput>, string]>([
    ["a seed", { seed: 1n }, "seed"],
    ["the name of a message", { messages: [{ ...userMessage("x"), name: "ann" }] }, "names"],
    ["JSON without a schema", { responseFormat: { kind: "json_object" } }, "schema"],
    [
      "the detail of an image",
      {
        messages: [
          messageOf("user", {
            kind: "image",
            source: { kind: "url", url: "https://a.example" },
            detail: "low",
          }),
        ],
      },
      "detail",
    ],
    [
      "a data: URL that is not Base64",
      {
        messages: [
          messageOf("user", {
            kind: "image",
            source: { kind: "url", url: "data:image/png,x" },
            detail: undefined,
          }),
        ],
      },
      "Base64",
    ],
    [
      "arguments of a call that are no JSON object",
      { messages: [messageOf("assistant", { kind: "tool_call", id: "c", name: "f", argumentsJson: "[1" })] },
      "JSON object",
    ],
  ])("refuses %s before anything is sent", (_name, overrides, mentions) => {
    const error = refusal(overrides);
    expect(error).toMatchObject({ reason: "PROVIDER_INVALID_REQUEST", billing: "not_billed" });
    expect(error.message).toContain(mentions);
  });
});
