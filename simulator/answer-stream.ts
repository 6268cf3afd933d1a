import { scriptedErrorBody } from "./answer-error.ts";
import {
  answerHeaders,
  answerWithSlowHeaders,
  cutSocket,
  endSplit,
  HUGE_LINE_BYTES,
  sendKeepAlives,
  tokensBeforeFault,
} from "./answer-parts.ts";
import type { Exchange } from "./exchange.ts";
import type { Plan } from "./plan.ts";
import type { Fault, Script } from "./script.ts";
import { type Step, type StreamWriter, stepsOf } from "./wire.ts";

/** Streams of more tokens are written in parts, with back-pressure. */
const MAX_TOKENS_AT_ONCE = 2_000;
const WRITE_CHARACTERS = 64 * 1024;
const EVENT_STREAM_TYPE = "text/event-stream; charset=utf-8";

const MID_STREAM_FAULTS: ReadonlySet<Fault | undefined> = new Set([
  "stall",
  "cut",
  "cleanEnd",
  "garbage",
  "truncatedJson",
  "errorEvent",
  "hugeLine",
]);

function begin(exchange: Exchange, script: Script): void {
  exchange.response.writeHead(200, {
    ...answerHeaders(exchange, script, EVENT_STREAM_TYPE),
    "cache-control": "no-cache",
    "transfer-encoding": "chunked",
  });
}

function renderAll(writer: StreamWriter, steps: readonly Step[]): string {
  let body = writer.begin();
  for (const step of steps) body += writer.step(step);
  return body + writer.finish() + writer.end();
}

/** Writes a right answer at once; false when it is too long for that. */
export function answerStreamAtOnce(exchange: Exchange, plan: Plan, script: Script): boolean {
  if (plan.tokensOut > MAX_TOKENS_AT_ONCE) return false;
  const body = renderAll(exchange.wire.createWriter(plan, exchange.startedAt), stepsOf(plan));
  exchange.settle("completed");
  begin(exchange, script);
  exchange.response.end(body);
  return true;
}

/** Does what goes wrong at this point. True when the stream goes on after it. */
async function goWrong(exchange: Exchange, script: Script, writer: StreamWriter): Promise<boolean> {
  switch (script.fault) {
    case "hugeLine":
      return exchange.write(writer.huge(HUGE_LINE_BYTES));
    case "stall":
      await exchange.untilGone();
      return false;
    case "cut":
      cutSocket(exchange);
      return false;
    default: {
      const lastParts: Partial<Record<Fault, string>> = {
        garbage: "data: this is not JSON\n\n",
        truncatedJson: `${writer.finish().slice(0, -30)}\n\n`,
        errorEvent: exchange.wire.errorEvent(scriptedErrorBody(exchange.wire, 500, script)),
      };
      exchange.settle("interrupted");
      exchange.response.end(script.fault === undefined ? "" : lastParts[script.fault]);
      return false;
    }
  }
}

/**
 * Writes the tokens, with their delays and the fault between them. Resolves to what is rendered but not yet
 * written, or to undefined when the stream has ended already.
 */
async function writeSteps(
  exchange: Exchange,
  plan: Plan,
  script: Script,
  writer: StreamWriter,
): Promise<string | undefined> {
  const steps = stepsOf(plan);
  const tokenDelayMs = script.tokenDelayMs ?? 0;
  const visibleTokens = steps.reduce((sum, step) => sum + step.tokens, 0);
  // Tokens that are only counted, such as hidden reasoning, come before the first visible one.
  const hiddenTokens = Math.max(0, plan.tokensOut - visibleTokens);
  const holdsAll = script.fault === "splitUtf8";
  let faultAt = MID_STREAM_FAULTS.has(script.fault)
    ? tokensBeforeFault(plan, script)
    : Number.POSITIVE_INFINITY;
  let rendered = 0;
  let written = 0;
  let pending = writer.begin();
  exchange.countGenerated = () => (written === 0 ? 0 : Math.min(plan.tokensOut, hiddenTokens + written));

  const flush = (): Promise<boolean> => {
    const part = pending;
    pending = "";
    written = rendered;
    return exchange.write(part);
  };

  for (let index = 0; index <= steps.length; index += 1) {
    const generated = rendered === 0 ? 0 : hiddenTokens + rendered;
    const step = steps[index];
    if (generated >= faultAt || (step === undefined && faultAt !== Number.POSITIVE_INFINITY)) {
      faultAt = Number.POSITIVE_INFINITY;
      if (!(await flush())) return undefined;
      if (!(await goWrong(exchange, script, writer))) return undefined;
    }
    if (step === undefined) break;
    pending += writer.step(step);
    rendered += step.tokens;
    if (holdsAll || (tokenDelayMs === 0 && pending.length < WRITE_CHARACTERS)) continue;
    if (!(await flush())) return undefined;
    if (index < steps.length - 1 && !(await exchange.wait(tokenDelayMs))) return undefined;
  }
  written = rendered;
  return pending;
}

/** Answers with delays and faults. The latency has passed and the exchange is watched. */
export async function answerStream(exchange: Exchange, plan: Plan, script: Script): Promise<void> {
  const writer = exchange.wire.createWriter(plan, exchange.startedAt);
  exchange.startGeneration();
  if (script.fault === "slowHeaders") {
    const body = renderAll(writer, stepsOf(plan));
    return answerWithSlowHeaders(exchange, script, { contentType: EVENT_STREAM_TYPE, body });
  }
  begin(exchange, script);
  exchange.response.flushHeaders();
  if (script.fault === "hangAfterHeaders") return exchange.untilGone();
  if (script.fault === "emptyBody") {
    exchange.settle("interrupted");
    exchange.response.end();
    return;
  }
  if (!(await sendKeepAlives(exchange, script, ": keep-alive\n\n"))) return;
  if (!(await exchange.wait(script.firstTokenDelayMs ?? 0))) return;
  if (script.fault === "emptyChoices") {
    exchange.settle("completed");
    exchange.response.end(writer.withoutChoices() + writer.end());
    return;
  }
  const pending = await writeSteps(exchange, plan, script, writer);
  if (pending === undefined) return;
  const last = pending + writer.finish() + writer.end({ done: script.fault !== "noDone" });
  if (script.fault === "splitUtf8") return endSplit(exchange, last);
  exchange.settle("completed");
  exchange.response.end(last);
}
