import { expect, test } from "vitest";
import { call, type Json, openSimulator, readError } from "./calls.ts";

interface Embeddings {
  readonly data: readonly { readonly index: number; readonly embedding: readonly number[] | string }[];
  readonly usage?: Json;
}

const PATH = "/openai/v1/embeddings";
const embed = async (simulator: Awaited<ReturnType<typeof openSimulator>>, body: Json, script?: unknown) =>
  (await (
    await call(simulator, { model: "sim-embedding", ...body }, { path: PATH, ...(script ? { script } : {}) })
  ).json()) as Embeddings;

test("embeddings depend on the model, the text and the dimensions, and have length 1", async () => {
  const simulator = await openSimulator();
  const { data } = await embed(simulator, { input: ["one", "two", "one"] });
  expect(data.map(({ index }) => index)).toEqual([0, 1, 2]);
  const [first, second, third] = data.map(({ embedding }) => embedding as readonly number[]);
  expect(third).toEqual(first);
  expect(second).not.toEqual(first);
  expect(Math.hypot(...(first ?? []))).toBeCloseTo(1, 6);
  expect(first).toHaveLength(16);
  const other = await embed(simulator, { model: "other", input: "one", dimensions: 100 });
  expect(other.data[0]?.embedding).toHaveLength(100);
});

test("base64 of them is little-endian floats of the same values", async () => {
  const simulator = await openSimulator();
  const plain = await embed(simulator, { input: "one", dimensions: 2 });
  const encoded = await embed(simulator, { input: "one", dimensions: 2, encoding_format: "base64" });
  const bytes = Buffer.from(String(encoded.data[0]?.embedding), "base64");
  expect([bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual(plain.data[0]?.embedding);
});

test("texts count a quarter of their bytes each, tokens as they are, and there is no output", async () => {
  const simulator = await openSimulator();
  expect((await embed(simulator, { input: ["a", "äbcdefgh"] })).usage).toEqual({
    prompt_tokens: 4,
    total_tokens: 4,
  });
  expect((await embed(simulator, { input: [1, 2, 3] })).usage).toMatchObject({ prompt_tokens: 3 });
  expect((await embed(simulator, { input: [[1, 2], [3]] })).data).toHaveLength(2);
  expect(simulator.bill.lines).toMatchObject([
    { tokensIn: 4, tokensOut: 0, state: "completed", model: "sim-embedding" },
    { tokensIn: 3, tokensOut: 0 },
    { tokensIn: 3, tokensOut: 0 },
  ]);
});

test("Gemini's batches are answered in its dialect", async () => {
  const simulator = await openSimulator();
  const model = "models/sim-embedding";
  const requests = ["one", "two"].map((text) => ({ model, content: { parts: [{ text }] } }));
  const headers = { "x-goog-api-key": "key" };
  const path = `/gemini/v1beta/${model}:batchEmbedContents`;
  const response = await call(simulator, { requests }, { path, headers });
  const { embeddings, usageMetadata } = (await response.json()) as {
    readonly embeddings: readonly { readonly values: readonly number[] }[];
    readonly usageMetadata: unknown;
  };
  expect(embeddings.map(({ values }) => values.length)).toEqual([16, 16]);
  expect(usageMetadata).toEqual({ promptTokenCount: 2 });
});

test("what a provider would refuse is refused, and scripts hold here, too", async () => {
  const simulator = await openSimulator();
  for (const input of ["", [], [""], [1.5], { text: "a" }, undefined]) {
    const response = await call(simulator, { model: "m", input }, { path: PATH });
    expect(response.status).toBe(400);
    expect((await readError(response)).error.param).toBe("input");
  }
  const busy = await call(simulator, { model: "m", input: 'a [[sim {"status":503}]]' }, { path: PATH });
  expect(busy.status).toBe(503);
  expect(await embed(simulator, { input: ["a"] }, { fault: "noUsage" })).not.toHaveProperty("usage");
  expect((await embed(simulator, { input: ["a"] }, { fault: "emptyChoices" })).data).toEqual([]);
});
