/**
 * The yardstick: the same two RPCs on Connect as it comes, calling the same upstream with undici, and nothing else:
 * no authentication, limits, prices, ledger, metrics or logs. What the gateway adds shows in the ratio to it.
 */
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Pool } from "undici";
import {
  type CompleteRequest,
  CompleteResponseSchema,
  CompletionService,
  FinishReason,
  StreamCompleteResponseSchema,
} from "../gen/es/llmgateway/v1/completion_pb.ts";
import { Role } from "../gen/es/llmgateway/v1/content_pb.ts";

interface ChatAnswer {
  readonly choices: readonly {
    readonly message?: { readonly content: string };
    readonly delta?: { readonly content?: string };
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
}

const [upstream = ""] = process.argv.slice(2);
const { origin, pathname } = new URL(upstream);
const pool = new Pool(origin, { connections: 256, pipelining: 1 });

async function post(request: CompleteRequest | undefined, stream: boolean, signal: AbortSignal) {
  const [part] = request?.messages[0]?.parts ?? [];
  const { body } = await pool.request({
    method: "POST",
    path: `${pathname}/chat/completions`,
    headers: { authorization: "Bearer sk-bench", "content-type": "application/json" },
    body: JSON.stringify({
      model: request?.model.split("/")[1],
      messages: [{ role: "user", content: part?.content.value }],
      ...(stream && { stream, stream_options: { include_usage: true } }),
    }),
    signal,
  });
  return body;
}

const toUsage = (usage: ChatAnswer["usage"]) =>
  usage ? { tokensIn: BigInt(usage.prompt_tokens), tokensOut: BigInt(usage.completion_tokens) } : {};

function routes(router: ConnectRouter): void {
  router.service(CompletionService, {
    async complete(request, context) {
      const answer = (await (await post(request, false, context.signal)).json()) as ChatAnswer;
      const text = answer.choices[0]?.message?.content ?? "";
      return create(CompleteResponseSchema, {
        model: request.model,
        choices: [
          {
            message: { role: Role.ASSISTANT, parts: [{ content: { case: "text", value: text } }] },
            finishReason: FinishReason.STOP,
          },
        ],
        usage: toUsage(answer.usage),
      });
    },
    async *streamComplete({ request }, context) {
      let rest = "";
      let usage: ChatAnswer["usage"];
      for await (const chunk of await post(request, true, context.signal)) {
        const events = (rest + String(chunk)).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) {
          if (event.endsWith("[DONE]")) continue;
          const answer = JSON.parse(event.slice("data: ".length)) as ChatAnswer;
          usage = answer.usage ?? usage;
          const text = answer.choices[0]?.delta?.content;
          if (text)
            yield create(StreamCompleteResponseSchema, {
              event: { case: "textDelta", value: { choiceIndex: 0, text } },
            });
        }
      }
      yield create(StreamCompleteResponseSchema, {
        event: { case: "finished", value: { finishReason: FinishReason.STOP, usage: toUsage(usage) } },
      });
    },
  });
}

const handler = connectNodeAdapter({ routes });
const http2 = createHttp2Server(handler).listen(0, "127.0.0.1");
const http1 = createHttp1Server(handler).listen(0, "127.0.0.1", () => {
  const port = (server: { address(): AddressInfo | string | null }) => (server.address() as AddressInfo).port;
  console.log(`ready http2=${port(http2)} http1=${port(http1)}`);
});
process.once("SIGTERM", () => process.exit(0));
