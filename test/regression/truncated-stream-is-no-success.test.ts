import { expect, it } from "vitest";
import type { ProviderTypeName } from "../../src/core/provider-types.ts";
import { createProvider } from "../../src/providers/create-provider.ts";
import { CollectingSink, callOf, chunk, DONE, failureOf, usageChunk } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

const FRAMES = [
  chunk({ role: "assistant", content: "" }),
  chunk({ content: "one " }),
  chunk({ content: "two " }),
  chunk({ content: "three" }),
  chunk({}, "length"),
  usageChunk(7, 3),
  DONE,
];
/** After the finish reason the text is whole; before it, no way of ending makes it so. */
const FRAMES_BEFORE_FINISH = 4;

it.each<[ProviderTypeName, "ends" | "breaks"]>([
  ["openai", "ends"],
  ["openai", "breaks"],
  ["deepseek", "ends"],
  ["deepseek", "breaks"],
  ["huggingface", "ends"],
  ["huggingface", "breaks"],
])(
  "a stream of %s that %s before its finish reason is an error that says what came",
  async (profile, how) => {
    await using standIn = await ScriptedProvider.start();
    const provider = createProvider({
      name: profile,
      profile,
      baseUrl: standIn.origin,
      apiKey: "sk-test-canary-0123456789",
      connectTimeoutMs: 2_000,
    });
    for (let sent = 1; sent <= FRAMES_BEFORE_FINISH; sent += 1) {
      standIn.does((response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(FRAMES.slice(0, sent).join(""));
        if (how === "ends") response.end();
        else setImmediate(() => response.socket?.destroy());
      });
      const sink = new CollectingSink();
      expect(await failureOf(provider.stream(callOf(), sink.push))).toMatchObject({
        reason: "PROVIDER_STREAM_CUT",
        billing: "maybe_billed",
        received: { deltas: sent - 1, outputBytes: Buffer.byteLength(sink.text) },
      });
      expect(sink.deltas).toHaveLength(sent - 1);
    }
    await provider.close();
  },
);
