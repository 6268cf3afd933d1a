import { randomUUID } from "node:crypto";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { vectorOf } from "../../simulator/embeddings.ts";
import { costPicoUsd } from "../../simulator/prices.ts";
import type { Script } from "../../simulator/script.ts";
import { EMBEDDING_MODEL, OTHER_EMBEDDING_MODEL, usd } from "../support/gateway-under-test.ts";
import { question, recordsOf, useOpenAiBench } from "../support/openai-bench.ts";

/** OpenAI's client, unmodified, asking for embeddings. After each test the bill is the ledger. */

const bench = useOpenAiBench();
const client = (options = {}) => bench().client({ maxRetries: 0, ...options });
const textOf = (script: Script = {}) => question(script).text;
const expected = (texts: readonly string[], dimensions = 16, model = "sim-embedding") =>
  texts.map((text) => [...vectorOf(model, text, dimensions)]);
const embeddingsOf = ({ data }: OpenAI.CreateEmbeddingResponse) => data.map(({ embedding }) => embedding);

/** The body as it comes, which no client has decoded. */
async function post(body: object | string, headers: Record<string, string> = {}) {
  const response = await fetch(`${bench().baseURL}/embeddings`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${bench().key.secret}`,
      "content-type": "application/json",
      ...headers,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { response, text: await response.text() };
}

describe("OpenAI's client", () => {
  it("gets vectors as it asks for them by itself, in base64, with usage and the gateway's facts", async () => {
    const texts = [textOf(), textOf(), "Grüße, 世界"];
    const { data, response } = await client()
      .embeddings.create({ model: EMBEDDING_MODEL, input: texts })
      .withResponse();
    expect(embeddingsOf(data)).toEqual(expected(texts));
    const [line] = await bench().billOf(texts[0] ?? "");
    expect(data.usage).toEqual({ prompt_tokens: line?.tokensIn, total_tokens: line?.tokensIn });
    const cost = line && costPicoUsd("openai", "sim-embedding", line);
    expect(response.headers.get("x-llm-gateway-cost-usd")).toBe(usd(cost ?? -1n));
    expect(response.headers.get("x-llm-gateway-provider")).toBe("openai");
    expect(response.headers.get("x-llm-gateway-model")).toBe("sim-embedding");
    expect(response.headers.get("x-llm-gateway-attempts")).toBe("1");
  });

  it("gets floats when it asks for them, and as many as it asks for", async () => {
    const input = textOf();
    const answer = await client().embeddings.create({
      ...{ model: EMBEDDING_MODEL, input, encoding_format: "float", dimensions: 100 },
    });
    expect(embeddingsOf(answer)).toEqual(expected([input], 100));
  });

  it("may give tokens instead of texts", async () => {
    const { embeddings } = client();
    const one = await embeddings.create({ model: EMBEDDING_MODEL, input: [5, 6, 7] });
    expect(embeddingsOf(one)).toEqual(expected(["5 6 7"]));
    const two = await embeddings.create({ model: EMBEDDING_MODEL, input: [[5, 6], [7]] });
    expect(embeddingsOf(two)).toEqual(expected(["5 6", "7"]));
    expect(two.usage.prompt_tokens).toBe(3);
  });

  it("retries what the gateway says is worth it", async () => {
    const input = textOf({ status: 503, times: 3, retryAfterMs: 1 });
    const answer = await client({ maxRetries: 1 }).embeddings.create({ model: EMBEDDING_MODEL, input });
    expect(answer.data).toHaveLength(1);
    expect(await bench().billOf(input)).toHaveLength(4);
  });

  it("falls back where it says so, and never by itself", async () => {
    const input = textOf({ status: 401, times: 1 });
    const body = { model: EMBEDDING_MODEL, input, fallback_models: [OTHER_EMBEDDING_MODEL] };
    const { data, response } = await client().embeddings.create(body).withResponse();
    expect(data.model).toBe("other-embedding");
    expect(response.headers.get("x-llm-gateway-attempts")).toBe("2");
    const alone = client().embeddings.create({ model: EMBEDDING_MODEL, input: textOf({ status: 401 }) });
    await expect(alone).rejects.toMatchObject({ status: 503, code: "provider_authentication" });
  });

  it("raises the classes of errors that it has", async () => {
    const { embeddings } = client();
    const failing = (input: string, model = EMBEDDING_MODEL) => embeddings.create({ model, input });
    await expect(failing("a", "no-such-model")).rejects.toThrow(OpenAI.NotFoundError);
    await expect(failing("")).rejects.toMatchObject({ status: 400, param: "input" });
    // DeepSeek makes none.
    await expect(failing("a", "deepseek/sim-model")).rejects.toMatchObject({ status: 400, param: "model" });
    await expect(failing(textOf({ status: 429 }))).rejects.toThrow(OpenAI.RateLimitError);
    const refused = textOf({ status: 400, errorMessage: "too long", errorCode: "context_length_exceeded" });
    await expect(failing(refused)).rejects.toMatchObject({
      ...{ status: 400, code: "context_length_exceeded", param: "input" },
    });
    await expect(failing(textOf({ fault: "emptyChoices" }))).rejects.toThrow(OpenAI.InternalServerError);
    const stranger = new OpenAI({ baseURL: bench().baseURL, apiKey: "gw_live_nobody", maxRetries: 0 });
    const unknown = stranger.embeddings.create({ model: EMBEDDING_MODEL, input: "a" });
    await expect(unknown).rejects.toThrow(OpenAI.AuthenticationError);
  });

  it("may ask again under the same key without a charge", async () => {
    const input = textOf();
    const headers = { "idempotency-key": randomUUID() };
    const ask = (encoding_format: "float" | "base64") =>
      client()
        .embeddings.create({ model: EMBEDDING_MODEL, input, encoding_format }, { headers })
        .withResponse();
    const first = await ask("float");
    const again = await ask("float");
    expect(again.response.headers.get("x-llm-gateway-replayed")).toBe("true");
    expect(again.data).toEqual(first.data);
    expect(await bench().billOf(input)).toHaveLength(1);
    await expect(ask("base64")).rejects.toMatchObject({ status: 409 });
  });
});

describe("POST /v1/embeddings", () => {
  it("relays what the provider wrote, byte by byte, and what it was asked", async () => {
    const input = textOf({ fault: "hugeLine" });
    const body = `{"input": ${JSON.stringify(input)}, "future": {"a": [1, {"b": null}]}, "model": "${EMBEDDING_MODEL}", "metadata": {"team": "search"}}`;
    const { response, text } = await post(body);
    expect(response.status).toBe(200);
    expect(text).toContain('"padding":"xxx');
    const [request] = bench().requestsOf(input);
    expect(request?.body).toMatchObject({ input, model: "sim-embedding", future: { a: [1, { b: null }] } });
    expect(request?.body).not.toHaveProperty("metadata");
    expect(request?.body).not.toHaveProperty("encoding_format");
    const record = (await recordsOf(bench())).find(({ tags }) => tags["team"] === "search");
    expect(record).toMatchObject({ model: "sim-embedding", tokens_out: 0, streamed: false });
  });

  it("answers in the encoding that was asked for, also when the provider ignores it", async () => {
    const input = textOf();
    const { text } = await post({ model: EMBEDDING_MODEL, input, encoding_format: "base64" });
    const [item] = (JSON.parse(text) as { data: { embedding: string }[] }).data;
    const bytes = Buffer.from(item?.embedding ?? "", "base64");
    const floats = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
    expect([floats]).toEqual(expected([input]));
  });

  it("says what is wrong with a request before anything is spent", async () => {
    const wrong: readonly (readonly [object, string | null])[] = [
      [{ input: "a" }, "model"],
      [{ model: EMBEDDING_MODEL }, "input"],
      [{ model: EMBEDDING_MODEL, input: [] }, "input"],
      [{ model: EMBEDDING_MODEL, input: ["a", 1] }, "input"],
      [{ model: EMBEDDING_MODEL, input: [1.5] }, "input"],
      [{ model: EMBEDDING_MODEL, input: [-1] }, "input"],
      [{ model: EMBEDDING_MODEL, input: "a", dimensions: 0 }, "dimensions"],
      [{ model: EMBEDDING_MODEL, input: "a", encoding_format: "hex" }, "encoding_format"],
      [
        { model: EMBEDDING_MODEL, input: "a", encoding_format: "base64", output_dtype: "int8" },
        "output_dtype",
      ],
      [{ model: EMBEDDING_MODEL, input: "a", metadata: { team: 1 } }, "metadata"],
      [{ model: EMBEDDING_MODEL, input: "a", fallback_models: "x" }, "fallback_models"],
    ];
    for (const [body, param] of wrong) {
      const { response, text } = await post(body);
      expect(response.status).toBe(400);
      expect((JSON.parse(text) as { error: { param: string | null } }).error.param).toBe(param);
    }
    const response = await fetch(`${bench().baseURL}/embeddings`);
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });

  it("costs what the reports say, under its model", async () => {
    const key = await bench().createKey();
    const own = new OpenAI({ baseURL: bench().baseURL, apiKey: key.secret, maxRetries: 0 });
    const input = textOf();
    const answer = await own.embeddings.create({ model: EMBEDDING_MODEL, input, user: "user-7" });
    const headers = { authorization: `Bearer ${key.secret}` };
    const report = (await (await fetch(`${bench().url}/v1/costs`, { headers })).json()) as {
      readonly by_model: readonly object[];
    };
    const [line] = await bench().billOf(input);
    const cost = line && costPicoUsd("openai", "sim-embedding", line);
    expect(report.by_model).toMatchObject([
      { model: "sim-embedding", tokens_in: answer.usage.prompt_tokens, cost_usd: usd(cost ?? -1n) },
    ]);
  });

  it("ends with the deadline, and the ledger says that the cost is a guess", async () => {
    const input = textOf({ fault: "hangAfterHeaders" });
    const { response } = await post({ model: EMBEDDING_MODEL, input }, { "x-llm-gateway-timeout-ms": "300" });
    expect(response.status).toBe(504);
    expect(response.headers.get("x-llm-gateway-error-reason")).toBe("DEADLINE_EXCEEDED");
  });
});
