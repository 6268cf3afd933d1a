import { describe, expect, test } from "vitest";
import { call, chunksOf, contentOf, dataLines, openSimulator, readAnswer, readError } from "./calls.ts";

const TOOLS = [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }];

describe("a unary completion", () => {
  test("counts the input as a quarter of its bytes and answers sixteen tokens of four bytes", async () => {
    const simulator = await openSimulator();
    const answer = await readAnswer(
      await call(simulator, { messages: [{ role: "user", content: "äbcdefgh" }] }),
    );
    const content = answer.choices[0]?.message.content ?? "";
    expect(Buffer.byteLength(content)).toBe(64);
    expect(content.startsWith("w00 w01 w02 ")).toBe(true);
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(answer.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 16, total_tokens: 19 });
  });

  test("counts the text parts of every message and nothing for images", async () => {
    const simulator = await openSimulator();
    const messages = [
      { role: "system", content: "abcd" },
      {
        role: "user",
        content: [
          { type: "text", text: "efgh" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
        ],
      },
    ];
    const answer = await readAnswer(await call(simulator, { messages }));
    expect(answer.usage).toMatchObject({ prompt_tokens: 2 });
  });

  test("stops with finish reason length at the request's maximum, reasoning included", async () => {
    const simulator = await openSimulator();
    const script = { tokensOut: 40, reasoningTokens: 8 };
    const answer = await readAnswer(await call(simulator, { max_completion_tokens: 10 }, { script }));
    expect(answer.choices[0]?.finish_reason).toBe("length");
    expect(answer.choices[0]?.message.content).toBe("w00 w01 ");
    expect(answer.usage).toMatchObject({
      completion_tokens: 10,
      completion_tokens_details: { reasoning_tokens: 8 },
    });
  });

  test("answers an explicit text and counts its bytes", async () => {
    const simulator = await openSimulator();
    const answer = await readAnswer(await call(simulator, {}, { script: { text: "Hello, world!" } }));
    expect(answer.choices[0]?.message.content).toBe("Hello, world!");
    expect(answer.usage).toMatchObject({ completion_tokens: 4 });
  });

  test("answers JSON that fits the schema of the response format", async () => {
    const simulator = await openSimulator();
    const schema = {
      type: "object",
      properties: {
        city: { type: "string" },
        unit: { enum: ["C", "F"] },
        days: { type: "array", items: { type: "integer" } },
      },
    };
    const format = { type: "json_schema", json_schema: { name: "forecast", schema } };
    const answer = await readAnswer(await call(simulator, { response_format: format }));
    expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toEqual({
      city: "sample",
      unit: "C",
      days: [1],
    });
  });

  test("calls a tool when the script says so and the request offers tools", async () => {
    const simulator = await openSimulator();
    const script = { toolCall: { name: "get_weather", arguments: { city: "Paris" } } };
    const withTools = await readAnswer(await call(simulator, { tools: TOOLS }, { script }));
    expect(withTools.choices[0]?.finish_reason).toBe("tool_calls");
    expect(withTools.choices[0]?.message.content).toBeNull();
    expect(withTools.choices[0]?.message.tool_calls?.[0]).toMatchObject({
      type: "function",
      function: { name: "get_weather", arguments: '{"city":"Paris"}' },
    });
    expect(withTools.usage).toMatchObject({ completion_tokens: 4 });
    const without = await readAnswer(await call(simulator, {}, { script }));
    expect(without.choices[0]?.finish_reason).toBe("stop");
  });

  test("calls the tool that the request forces, without any script", async () => {
    const simulator = await openSimulator();
    const answer = await readAnswer(await call(simulator, { tools: TOOLS, tool_choice: "required" }));
    expect(answer.choices[0]?.message.tool_calls?.[0]?.function).toEqual({
      name: "get_weather",
      arguments: "{}",
    });
  });
});

describe("the usage of each personality", () => {
  const script = {
    tokensIn: 100,
    cachedTokensIn: 60,
    cacheWriteTokensIn: 10,
    tokensOut: 20,
    reasoningTokens: 5,
  };

  test("openai states cached, written and reasoning tokens as details", async () => {
    const simulator = await openSimulator();
    const { usage } = await readAnswer(await call(simulator, {}, { script }));
    expect(usage).toMatchObject({
      prompt_tokens: 100,
      prompt_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
      completion_tokens: 20,
      completion_tokens_details: { reasoning_tokens: 5 },
      total_tokens: 120,
    });
  });

  test.each(["/deepseek/chat/completions", "/deepseek/v1/chat/completions"])(
    "deepseek on %s states cache hits and misses and shows its reasoning",
    async (path) => {
      const simulator = await openSimulator();
      const answer = await readAnswer(await call(simulator, {}, { path, script }));
      expect(answer.usage).toEqual({
        prompt_tokens: 100,
        prompt_cache_hit_tokens: 60,
        prompt_cache_miss_tokens: 40,
        completion_tokens: 20,
        completion_tokens_details: { reasoning_tokens: 5 },
        total_tokens: 120,
      });
      expect(answer.choices[0]?.message.reasoning_content).toBe("r00 r01 r02 r03 r04 ");
      expect(simulator.bill.lines[0]).toMatchObject({ cachedTokensIn: 60, cacheWriteTokensIn: 0 });
    },
  );

  test("huggingface states three totals only, and bills nothing that it does not state", async () => {
    const simulator = await openSimulator();
    const { usage } = await readAnswer(
      await call(simulator, {}, { path: "/huggingface/v1/chat/completions", script }),
    );
    expect(usage).toEqual({ prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 });
    expect(simulator.bill.lines[0]).toMatchObject({
      cachedTokensIn: 0,
      cacheWriteTokensIn: 0,
      reasoningTokens: 0,
    });
  });
});

describe("a stream", () => {
  test("sends the role, one token a chunk, the finish reason, usage if asked for, and [DONE]", async () => {
    const simulator = await openSimulator();
    const body = { stream: true, stream_options: { include_usage: true } };
    const response = await call(simulator, body, { script: { tokensOut: 3 } });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const text = await response.text();
    const chunks = chunksOf(text);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta)).toEqual([
      { role: "assistant", content: "" },
      { content: "w00 " },
      { content: "w01 " },
      { content: "w02 " },
      {},
      undefined,
    ]);
    expect(chunks[4]?.choices[0]?.finish_reason).toBe("stop");
    expect(chunks.slice(0, 5).every((chunk) => chunk.usage === null)).toBe(true);
    expect(chunks[5]).toMatchObject({ choices: [], usage: { completion_tokens: 3 } });
    expect(dataLines(text).at(-1)).toBe("[DONE]");
  });

  test("has no usage chunk when the request does not ask for it", async () => {
    const simulator = await openSimulator();
    const text = await (await call(simulator, { stream: true })).text();
    expect(chunksOf(text).every((chunk) => chunk.usage === null && chunk.choices.length === 1)).toBe(true);
    expect(dataLines(text).at(-1)).toBe("[DONE]");
  });

  test("sends a tool call in fragments that join to the arguments", async () => {
    const simulator = await openSimulator();
    const script = { toolCall: { name: "get_weather", arguments: { city: "Zürich" } } };
    const chunks = chunksOf(await (await call(simulator, { stream: true, tools: TOOLS }, { script })).text());
    const fragments = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
    expect(fragments.length).toBeGreaterThan(2);
    expect(fragments[0]?.function).toEqual({ name: "get_weather", arguments: "" });
    expect(fragments.map((fragment) => fragment.function.arguments).join("")).toBe('{"city":"Zürich"}');
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("tool_calls");
  });

  test("of deepseek sends reasoning before content", async () => {
    const simulator = await openSimulator();
    const script = { tokensOut: 3, reasoningTokens: 2 };
    const options = { path: "/deepseek/chat/completions", script };
    const chunks = chunksOf(await (await call(simulator, { stream: true }, options)).text());
    expect(chunks.map((chunk) => chunk.choices[0]?.delta).slice(1, 4)).toEqual([
      { reasoning_content: "r00 " },
      { reasoning_content: "r01 " },
      { content: "w00 " },
    ]);
  });

  test.each([0, 1])("gives the same tokens with a pause of %d ms between them", async (tokenDelayMs) => {
    const simulator = await openSimulator({ script: { tokenDelayMs } });
    const text = await (await call(simulator, { stream: true }, { script: { tokensOut: 20 } })).text();
    expect(contentOf(chunksOf(text))).toBe(
      Array.from({ length: 20 }, (_, i) => `w0${i.toString(36)} `).join(""),
    );
    expect(dataLines(text)).toHaveLength(23);
  });

  test("of many tokens arrives whole", async () => {
    const simulator = await openSimulator();
    const text = await (await call(simulator, { stream: true }, { script: { tokensOut: 5_000 } })).text();
    expect(Buffer.byteLength(contentOf(chunksOf(text)))).toBe(20_000);
    expect(simulator.bill.lines[0]).toMatchObject({ state: "completed", tokensOut: 5_000 });
  });
});

describe("a request that is not right", () => {
  test.each([
    ["without a model", { model: "" }, "model"],
    ["without messages", { messages: [] }, "messages"],
    ["with an unknown role", { messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    ["with a content that is a number", { messages: [{ role: "user", content: 1 }] }, "messages[0].content"],
    ["with a maximum of zero tokens", { max_tokens: 0 }, "max_tokens"],
    ["with a temperature of 3", { temperature: 3 }, "temperature"],
    ["with a stream that is text", { stream: "yes" }, "stream"],
    ["with a nameless tool", { tools: [{ type: "function", function: {} }] }, "tools"],
    ["with an unknown response format", { response_format: { type: "xml" } }, "response_format.type"],
  ])("%s is refused with 400 and the name of the field", async (_, body, param) => {
    const simulator = await openSimulator();
    const response = await call(simulator, body);
    expect(response.status).toBe(400);
    expect((await readError(response)).error).toMatchObject({ type: "invalid_request_error", param });
    expect(simulator.bill.lines).toMatchObject([{ state: "refused", tokensIn: 0, tokensOut: 0 }]);
  });

  test("that is no JSON is refused with 400", async () => {
    const simulator = await openSimulator();
    const headers = { authorization: "Bearer k" };
    const url = `${simulator.baseUrl("openai")}/chat/completions`;
    const response = await fetch(url, { method: "POST", headers, body: "{" });
    expect(response.status).toBe(400);
  });

  test.each(["", "Bearer ", "Basic abc"])(
    "with authorization %j is refused with 401",
    async (authorization) => {
      const simulator = await openSimulator();
      const response = await call(simulator, {}, { headers: { authorization } });
      expect(response.status).toBe(401);
      expect((await readError(response)).error.code).toBe("invalid_api_key");
    },
  );

  test("on another path or with another method is refused with 404 or 405", async () => {
    const simulator = await openSimulator();
    expect((await call(simulator, {}, { path: "/openai/chat/completions" })).status).toBe(404);
    expect((await fetch(`${simulator.baseUrl("openai")}/chat/completions`)).status).toBe(405);
  });
});

test("every personality lists its models, huggingface with its partners and their prices", async () => {
  const simulator = await openSimulator();
  const read = async (name: "openai" | "deepseek" | "huggingface"): Promise<unknown> =>
    (await fetch(`${simulator.baseUrl(name)}/models`)).json();
  expect(await read("openai")).toMatchObject({
    object: "list",
    data: expect.arrayContaining([expect.objectContaining({ id: "gpt-5-mini" })]),
  });
  expect(await read("deepseek")).toMatchObject({
    data: expect.arrayContaining([expect.objectContaining({ id: "deepseek-flash" })]),
  });
  expect(await read("huggingface")).toMatchObject({
    data: expect.arrayContaining([
      expect.objectContaining({
        id: "meta-llama/Llama-3.3-70B-Instruct",
        providers: [expect.objectContaining({ provider: "groq", pricing: { input: 0.59, output: 0.79 } })],
      }),
    ]),
  });
});
