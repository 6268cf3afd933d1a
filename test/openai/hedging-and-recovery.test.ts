import { beforeEach, describe, expect, it } from "vitest";
import { FALLBACK_MODEL, MODEL } from "../support/gateway-under-test.ts";
import { question, recordsOf, useOpenAiBench, user } from "../support/openai-bench.ts";

const candidates = [MODEL, FALLBACK_MODEL];
const bench = useOpenAiBench(
  {},
  {
    hedged: { strategy: "ordered", candidates, hedge_after_ms: 150 },
    recovered: { strategy: "ordered", candidates, recovery: "restart" },
    plain: candidates,
  },
);

/** What the first candidate does, and the answer of the second one. */
function twoProviders(openai: Parameters<typeof question>[0], text: string) {
  const first = question(openai);
  const second = question({ text }, "deepseek");
  return { marker: first.marker, messages: [user(`${first.text} ${second.text}`)] };
}

const RESTART = { headers: { "x-llm-gateway-recovery": "restart" } };

async function textOf(
  chunks: AsyncIterable<{ choices: { delta: { content?: string | null } }[] }>,
): Promise<string> {
  let text = "";
  for await (const { choices } of chunks) text += choices[0]?.delta.content ?? "";
  return text;
}

const closed = (marker: string) =>
  expect
    .poll(
      () =>
        bench()
          .requestsOf(marker)
          .map(({ aborted }) => aborted),
      { interval: 5, timeout: 2_000 },
    )
    .toEqual([true, false]);

describe("a route that hedges", () => {
  it("answers a unary call with the faster candidate, both being paid for", async () => {
    const { marker, messages } = twoProviders({ latencyMs: 4_000 }, "fast");
    const { data, response, request_id } = await bench()
      .client()
      .chat.completions.create({ model: "hedged", messages })
      .withResponse();
    expect(data.choices[0]?.message.content).toBe("fast");
    // As the provider said it, not the sum.
    expect(data.usage?.completion_tokens).toBe(1);
    expect(response.headers.get("x-llm-gateway-provider")).toBe("deepseek");
    expect(response.headers.get("x-llm-gateway-attempts")).toBe("2");
    const records = (await recordsOf(bench())).filter((record) => record.request_id === request_id);
    expect(records.map(({ outcome }) => outcome).sort()).toEqual(["cancelled", "succeeded"]);
    const pico = (cost: string | null) => BigInt((cost ?? "0").replace(".", ""));
    const sum = records.reduce((total, { cost_usd }) => total + pico(cost_usd), 0n);
    expect(pico(response.headers.get("x-llm-gateway-cost-usd"))).toBe(sum);
    await closed(marker);
  });

  it("streams the one that has its first token first, and nothing of the other", async () => {
    const { marker, messages } = twoProviders({ firstTokenDelayMs: 4_000 }, "fast and whole");
    const stream = await bench()
      .client()
      .chat.completions.create({ model: "hedged", messages, stream: true });
    expect(await textOf(stream)).toBe("fast and whole");
    await closed(marker);
  });
});

describe("a stream that breaks off", () => {
  // A success between the failures keeps the breaker closed.
  beforeEach(async () => {
    const { text } = question();
    await bench()
      .client()
      .chat.completions.create({ model: MODEL, messages: [user(text)] });
  });

  const cut = { cutAfterTokens: 3, tokensOut: 40, tokenDelayMs: 5 } as const;

  it.each([
    ["by its header", "plain", RESTART],
    ["by its route", "recovered", undefined],
  ] as const)(
    "is whole, and the second candidate's alone, with recovery %s",
    async (_how, model, options) => {
      const { marker, messages } = twoProviders(cut, "the whole second answer");
      const { data, response } = await bench()
        .client({ maxRetries: 0 })
        .chat.completions.create({ model, messages, stream: true }, options)
        .withResponse();
      expect(await textOf(data)).toBe("the whole second answer");
      expect(response.headers.get("x-llm-gateway-provider")).toBe("deepseek");
      expect(bench().requestsOf(marker)).toHaveLength(2);
    },
  );

  it("is whole over the Responses API, too", async () => {
    const { messages } = twoProviders(cut, "the whole second answer");
    const stream = await bench()
      .client({ maxRetries: 0 })
      .responses.create(
        { model: "plain", input: messages[0]?.content ?? "", stream: true, store: false },
        RESTART,
      );
    let text = "";
    const types: string[] = [];
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    expect(text).toBe("the whole second answer");
    expect(types.filter((type) => type === "response.created")).toHaveLength(1);
    expect(types.at(-1)).toBe("response.completed");
  });

  it("tells at its end of both attempts and what they cost together", async () => {
    const { messages } = twoProviders(cut, "whole");
    const stream = await bench()
      .client()
      .chat.completions.create({
        ...{ model: "recovered", messages, stream: true, stream_options: { include_usage: true } },
      });
    let last: unknown;
    for await (const chunk of stream) last = chunk;
    expect(last).toMatchObject({
      llm_gateway: {
        provider: "deepseek",
        cost_estimated: true,
        attempts: [{ outcome: "failed", error_reason: "PROVIDER_STREAM_CUT" }, { outcome: "succeeded" }],
      },
    });
  });

  it("fails as before without recovery, also where its caller refuses that of the route", async () => {
    const off = { headers: { "x-llm-gateway-recovery": "off" } };
    for (const [model, options] of [
      ["plain", undefined],
      ["recovered", off],
    ] as const) {
      const { messages } = twoProviders(cut, "never asked");
      const stream = await bench()
        .client({ maxRetries: 0 })
        .chat.completions.create({ model, messages, stream: true }, options);
      await expect(textOf(stream)).rejects.toThrow(/stream|broke|end/i);
    }
  });

  it("fails with a status when nobody is left, for nothing was sent yet", async () => {
    const { messages } = twoProviders(cut, "");
    const call = bench()
      .client({ maxRetries: 0 })
      .chat.completions.create({ model: MODEL, messages, stream: true }, RESTART);
    await expect(call).rejects.toMatchObject({ status: 503 });
  });

  it("is refused with a header that says neither", async () => {
    const { messages } = twoProviders({}, "");
    const headers = { "x-llm-gateway-recovery": "continue" };
    const call = bench()
      .client()
      .chat.completions.create({ model: "plain", messages, stream: true }, { headers });
    await expect(call).rejects.toMatchObject({ status: 400 });
  });
});
