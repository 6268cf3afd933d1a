import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, describe, expect, it } from "vitest";
import type { MessagePart } from "../../../src/core/completion.ts";
import type { ModelInput } from "../../../src/core/model-input.ts";
import { createTokenizer } from "../../../src/pricing/tokenizer.ts";
import { createUsageEstimator, MAX_COUNTED_CHARACTERS } from "../../../src/pricing/usage-estimator.ts";
import { embeddingOf, inputOf, userMessage } from "../../support/provider-calls.ts";

const PATIENT_MS = 20_000;
const NOTHING = { text: "", outputBytes: 0 };

const tokenizer = createTokenizer();
const estimator = createUsageEstimator(tokenizer);
afterAll(() => tokenizer.close());

const tokensIn = async (input: ModelInput) =>
  (await estimator.estimate({ input, output: NOTHING }, PATIENT_MS))?.tokensIn;
const tokensOut = async (output: { readonly text: string; readonly outputBytes: number }) =>
  (await estimator.estimate({ input: inputOf([]), output }, PATIENT_MS))?.tokensOut;

const said = (...parts: readonly MessagePart[]) => inputOf([{ role: "user", name: undefined, parts }]);

describe("the input", () => {
  it("is the tokens of its messages, with what the chat format adds", async () => {
    // OpenAI's own example of the format: 3 tokens a message, 1 a name, 3 before the answer.
    const named = { ...userMessage("Hello, world!"), name: "Ann" };
    expect(await tokensIn(inputOf([userMessage("Hello, world!")]))).toBe(3 + 4 + 3);
    expect(await tokensIn(inputOf([userMessage("Hello, world!"), named]))).toBe(2 * (3 + 4) + 2 + 3);
  });

  it("has what tools, schemas and earlier tool calls say in it", async () => {
    const schema = '{"type":"object","properties":{"city":{"type":"string"}}}';
    const tool = {
      name: "weather",
      description: "Today's.",
      parametersJsonSchema: schema,
      strict: undefined,
    };
    const responseFormat = { kind: "json_schema", name: "x", schemaJson: schema, strict: true } as const;
    const plain = (await tokensIn(said())) ?? 0;
    const counted = ["weather", "Today's.", schema].reduce((sum, text) => sum + countTokens(text), 0);
    expect(await tokensIn({ ...said(), tools: [tool] })).toBe(plain + counted + 7);
    expect(await tokensIn({ ...said(), responseFormat })).toBe(plain + countTokens(schema));
    const call = { kind: "tool_call", id: "1", name: "weather", argumentsJson: '{"city":"Bern"}' } as const;
    expect(await tokensIn(said(call))).toBe(plain + countTokens("weather") + countTokens('{"city":"Bern"}'));
  });

  it("has its images, which nobody looks into, at a flat rate", async () => {
    const image = { kind: "image", source: { kind: "url", url: "https://example.com/a.png" } } as const;
    const plain = (await tokensIn(said())) ?? 0;
    expect(await tokensIn(said({ ...image, detail: "low" }))).toBe(plain + 85);
    expect(await tokensIn(said({ ...image, detail: undefined }))).toBe(plain + 1_000);
  });

  it("is counted to its limit and in proportion beyond", async () => {
    const text = "The next batch is sent when the last one is durable. ".repeat(3_000);
    const exact = countTokens(text);
    const estimate = (await tokensIn(inputOf([userMessage(text), userMessage(text)]))) ?? 0;
    expect(Math.abs(estimate / (2 * exact) - 1)).toBeLessThan(0.01);
  });
});

describe("what is embedded", () => {
  it("counts each text as it is, and nothing around it", async () => {
    const texts = ["Hello, world!", "Grüße"];
    const expected = texts.reduce((sum, text) => sum + countTokens(text), 0);
    expect(await tokensIn(embeddingOf(texts))).toBe(expected);
  });

  it("counts tokens by their number", async () => {
    const embedded = { kind: "tokens", sequences: [[1, 2, 3], [4]] } as const;
    expect(await tokensIn(embeddingOf([], { embedded }))).toBe(4);
  });
});

describe("the output", () => {
  it("is the tokens of the text received", async () => {
    expect(await tokensOut({ text: "Hello, world!", outputBytes: 13 })).toBe(4);
    expect(await tokensOut(NOTHING)).toBe(0);
  });

  it("counts in proportion what came and was not kept", async () => {
    expect(await tokensOut({ text: "Hello, world!", outputBytes: 26 })).toBe(8);
    expect(await tokensOut({ text: "Grüße", outputBytes: 7 })).toBe(countTokens("Grüße"));
    expect(await tokensOut({ text: "", outputBytes: 26 })).toBe(7);
  });
});

it("hands over no more than it counts", async () => {
  let characters = 0;
  const greedy = createUsageEstimator({
    warmUp() {},
    count: async (texts) => {
      characters = texts.join("").length;
      return texts.map(() => 1);
    },
  });
  const input = inputOf([userMessage("x".repeat(3_000_000)), userMessage("y".repeat(1_000_000))]);
  await greedy.estimate({ input, output: { text: "z".repeat(100), outputBytes: 100 } }, PATIENT_MS);
  expect(characters).toBe(MAX_COUNTED_CHARACTERS + 100);
});

it("says nothing when the tokenizer says nothing", async () => {
  const silent = createUsageEstimator({ warmUp() {}, count: async () => undefined });
  expect(await silent.estimate({ input: inputOf([]), output: NOTHING }, 1)).toBeUndefined();
});
