import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { uniquePrompt } from "../suites/client-suite.ts";
import { findChromium, startBrowser, type TestBrowser } from "../support/browser.ts";
import { type PageServer, servePage } from "../support/browser-page.ts";
import {
  billedPicoUsd,
  directive,
  type GatewayUnderTest,
  MODEL,
  startGatewayUnderTest,
  usd,
} from "../support/gateway-under-test.ts";

/** What a web application does: the generated client over Connect or gRPC-Web. */
const PAGE_SCRIPT = `
import { createClient, ConnectError } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { CompletionService, CompleteResponseSchema } from "/gen/es/llmgateway/v1/completion_pb.ts";
import { ErrorInfoSchema } from "/gen/es/google/rpc/error_details_pb.ts";

globalThis.callGateway = async ({ url, key, protocol, model, text, stream }) => {
  const transport = { connect: createConnectTransport, "grpc-web": createGrpcWebTransport }[protocol];
  const client = createClient(CompletionService, transport({ baseUrl: url }));
  const headers = { authorization: "Bearer " + key };
  const request = { model, messages: [{ role: 2, parts: [{ content: { case: "text", value: text } }] }] };
  try {
    if (!stream) {
      const answer = await client.complete(request, { headers });
      return { provider: answer.provider, costUsd: answer.cost.costUsd };
    }
    const kinds = [];
    let costUsd;
    for await (const { event } of client.streamComplete({ request }, { headers })) {
      if (kinds.at(-1) !== event.case) kinds.push(event.case);
      if (event.case === "finished") costUsd = event.value.cost.costUsd;
    }
    return { kinds, costUsd };
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    return {
      code: error.code,
      reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
      requestId: error.metadata.get("x-request-id"),
    };
  }
};
globalThis.ready = true;
`;

const PERMISSION_DENIED = 7;
const UNKNOWN = 2;

const executable = findChromium();

// Without Chromium there is nothing to see; in CI `findChromium` has thrown.
describe.skipIf(!executable)("in Chromium", () => {
  let gateway: GatewayUnderTest;
  let browser: TestBrowser;
  let allowed: PageServer;
  let foreign: PageServer;
  let key = "";

  beforeAll(async () => {
    [allowed, foreign] = await Promise.all([servePage(PAGE_SCRIPT), servePage(PAGE_SCRIPT)]);
    gateway = await startGatewayUnderTest({ env: { CORS_ORIGINS: allowed.origin } });
    ({ secret: key } = await gateway.createKey());
    browser = await startBrowser(executable ?? "");
  });
  afterAll(async () => {
    await browser.close();
    await Promise.all([gateway.stop(), allowed.close(), foreign.close()]);
  });

  async function open(url: string): Promise<{ readonly page: Page; readonly problems: string[] }> {
    const page = await browser.context.newPage();
    const problems: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("requestfailed", (request) => problems.push(`${request.url()} failed`));
    await page.goto(url);
    return { page, problems };
  }

  async function call(
    page: Page,
    options: Readonly<Record<string, unknown>>,
  ): Promise<Record<string, unknown>> {
    await page.waitForFunction("globalThis.ready === true");
    const argument = JSON.stringify({ url: gateway.url, key, model: MODEL, ...options });
    return (await page.evaluate(`globalThis.callGateway(${argument})`)) as Record<string, unknown>;
  }

  it("shows the API documentation, without a word from elsewhere and without an error", async () => {
    const { page, problems } = await open(`${gateway.url}/docs`);
    const requested: string[] = [];
    page.on("request", (request) => requested.push(request.url()));
    await page.reload();
    await page.locator(".opblock").first().waitFor();
    const text = await page.locator("#swagger-ui").innerText();
    expect(text).toContain("llm-gateway");
    expect(text).toContain("CompletionService");
    expect(text).toContain("/v1/costs");
    await page.getByText("/llmgateway.v1.CompletionService/Complete", { exact: true }).first().click();
    await page.getByText("Request body").first().waitFor();
    expect(problems).toEqual([]);
    expect(requested.filter((url) => !url.startsWith(gateway.url) && !url.startsWith("data:"))).toEqual([]);
    await page.close();
  });

  it.each(["connect", "grpc-web"])(
    "lets a page of an allowed origin complete and stream by %s",
    async (protocol) => {
      const { page, problems } = await open(allowed.origin);
      const text = uniquePrompt();
      const answer = await call(page, { protocol, text });
      expect(answer).toEqual({
        provider: "openai",
        costUsd: usd(billedPicoUsd(await gateway.billOf(text))),
      });
      const streamed = uniquePrompt(directive("openai", { tokenDelayMs: 2 }));
      expect(await call(page, { protocol, text: streamed, stream: true })).toEqual({
        kinds: ["started", "textDelta", "finished"],
        costUsd: usd(billedPicoUsd(await gateway.billOf(streamed))),
      });
      expect(problems).toEqual([]);
      await page.close();
    },
  );

  it.each(["connect", "grpc-web"])("shows a page the details of an error by %s", async (protocol) => {
    const { secret } = await gateway.createKey({ allowedModels: ["deepseek/sim-model"] });
    const { page } = await open(allowed.origin);
    for (const stream of [false, true]) {
      expect(await call(page, { protocol, text: "x", key: secret, stream })).toEqual({
        code: PERMISSION_DENIED,
        reason: "MODEL_NOT_ALLOWED",
        requestId: expect.stringMatching(/^[!-~]{1,36}$/),
      });
    }
    await page.close();
  });

  it("keeps a page of another origin out, before a provider is called", async () => {
    const { page, problems } = await open(foreign.origin);
    const text = uniquePrompt();
    expect(await call(page, { protocol: "connect", text })).toMatchObject({ code: UNKNOWN, requestId: null });
    expect(problems.join(" ")).toContain("CORS");
    expect(gateway.requestsOf(text)).toEqual([]);
    await page.close();
  });
});
