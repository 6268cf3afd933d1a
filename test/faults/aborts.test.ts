import { expect, it } from "vitest";
import { CALL_KINDS } from "../support/completion-client.ts";
import { inParallel, pairs } from "../support/in-parallel.ts";
import { useFaultBench } from "../support/use-fault-bench.ts";

const bench = useFaultBench({ groups: { openai: { profile: "openai" }, deepseek: { profile: "deepseek" } } });

it("is neither sent again nor to the next provider when its caller has left", async () => {
  await inParallel(pairs(CALL_KINDS, ["hang", "backoff"] as const), async ([kind, where]) => {
    const controller = new AbortController();
    const script = where === "hang" ? { fault: "hang" as const } : { status: 429, retryAfterMs: 900 };
    const call = bench().complete({
      ...{ kind, model: bench().candidate(), signal: controller.signal, text: `leaves=${kind}-${where}` },
      fallbackModels: [bench().candidate("deepseek")],
      scripts: { openai: script },
    });
    const seen = () =>
      bench()
        .simulator.requests.recent()
        .filter(({ body }) => JSON.stringify(body).includes(`leaves=${kind}-${where}`));
    await expect.poll(() => seen().length, { interval: 5, timeout: 5_000 }).toBe(1);
    controller.abort();
    const { reason, requestId } = await call;
    expect(reason).toBe("client saw Canceled");
    // The line of a request is written when nothing is done for it any more.
    await expect.poll(() => bench().gateway.output(), { interval: 5, timeout: 600 }).toContain(requestId);
    expect(seen()).toHaveLength(1);
  });
});
