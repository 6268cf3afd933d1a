import { answerError, answerHtml, answerRedirect } from "./answer-error.ts";
import { answerStream, answerStreamAtOnce } from "./answer-stream.ts";
import { answerUnary, answerUnaryAtOnce } from "./answer-unary.ts";
import type { Exchange } from "./exchange.ts";
import type { Plan } from "./plan.ts";
import { isPlain, type Script } from "./script.ts";

function hasStatus(script: Script): script is Script & { readonly status: number } {
  return script.status !== undefined;
}

async function answerSlowly(exchange: Exchange, plan: Plan, script: Script): Promise<void> {
  exchange.watch();
  if (script.fault === "hang") return exchange.untilGone();
  if (!(await exchange.wait(script.latencyMs ?? 0))) return;
  if (script.fault === "reset") {
    exchange.settle("interrupted");
    exchange.response.socket?.resetAndDestroy();
    return;
  }
  if (script.fault === "redirect") return answerRedirect(exchange, script);
  if (script.fault === "html") return answerHtml(exchange, script);
  if (hasStatus(script)) return answerError(exchange, script);
  return plan.stream ? answerStream(exchange, plan, script) : answerUnary(exchange, plan, script);
}

/** Answers a call as planned and scripted. Right and immediate answers take the way without timers and listeners. */
export function answer(exchange: Exchange, plan: Plan, script: Script): void {
  exchange.describe(plan);
  if (isPlain(script)) {
    if (!plan.stream) {
      answerUnaryAtOnce(exchange, plan, script);
      return;
    }
    if (answerStreamAtOnce(exchange, plan, script)) return;
  }
  void answerSlowly(exchange, plan, script);
}
