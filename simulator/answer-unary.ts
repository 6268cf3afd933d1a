import { answerErrorAsSuccess } from "./answer-error.ts";
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
import type { Script } from "./script.ts";

const JSON_TYPE = "application/json";

function begin(exchange: Exchange, script: Script, contentLength?: number): void {
  const headers = answerHeaders(exchange, script, JSON_TYPE);
  exchange.response.writeHead(
    200,
    contentLength === undefined ? headers : { ...headers, "content-length": contentLength },
  );
}

/** Writes a right answer at once. */
export function answerUnaryAtOnce(exchange: Exchange, plan: Plan, script: Script): void {
  const body = exchange.wire.renderUnary(plan, exchange.startedAt);
  exchange.settle("completed");
  begin(exchange, script, Buffer.byteLength(body));
  exchange.response.end(body);
}

/** Waits as long as generation takes; a client that leaves meanwhile has used up the tokens of that time. */
function generate(exchange: Exchange, plan: Plan, script: Script): Promise<boolean> {
  const firstTokenDelayMs = script.firstTokenDelayMs ?? 0;
  const tokenDelayMs = script.tokenDelayMs ?? 0;
  const startedAtMs = performance.now();
  exchange.countGenerated = () => {
    const generatingMs = performance.now() - startedAtMs - firstTokenDelayMs;
    if (generatingMs < 0 || tokenDelayMs === 0) return 0;
    return Math.min(plan.tokensOut, 1 + Math.floor(generatingMs / tokenDelayMs));
  };
  return exchange.wait(firstTokenDelayMs + tokenDelayMs * Math.max(0, plan.tokensOut - 1));
}

/** Ends an answer that was generated up to a point and went wrong there. */
function endWrong(exchange: Exchange, script: Script, body: string): void {
  exchange.settle("interrupted");
  if (!exchange.response.headersSent) begin(exchange, script, Buffer.byteLength(body));
  exchange.response.end(body);
}

async function answerHuge(exchange: Exchange, plan: Plan, script: Script): Promise<void> {
  const body = exchange.wire.renderUnary(plan, exchange.startedAt, {
    extra: `"padding":"${"x".repeat(HUGE_LINE_BYTES)}"`,
  });
  if (!exchange.response.headersSent) begin(exchange, script);
  if (!(await exchange.write(body.slice(0, -1)))) return;
  exchange.settle("completed");
  exchange.response.end(body.slice(-1));
}

/** Sends the first half of the body under the content length of the whole, or of unknown length. */
function sendHalf(
  exchange: Exchange,
  script: Script,
  body: string,
  contentLength?: number,
): Promise<boolean> {
  if (!exchange.response.headersSent) begin(exchange, script, contentLength);
  return exchange.write(body.slice(0, Math.ceil(body.length / 2)));
}

async function answerWithFault(exchange: Exchange, plan: Plan, script: Script): Promise<void> {
  const body = exchange.wire.renderUnary(plan, exchange.startedAt, {
    emptyChoices: script.fault === "emptyChoices",
  });
  const generated = tokensBeforeFault(plan, script);
  exchange.countGenerated = () => generated;
  switch (script.fault) {
    case "emptyBody":
      exchange.countGenerated = () => 0;
      return endWrong(exchange, script, "");
    case "truncatedJson":
      return endWrong(exchange, script, body.slice(0, Math.ceil(body.length / 2)));
    case "garbage":
      return endWrong(exchange, script, "this is not JSON");
    case "cleanEnd":
      if (await sendHalf(exchange, script, body)) endWrong(exchange, script, "");
      return;
    case "cut":
      if (await sendHalf(exchange, script, body, Buffer.byteLength(body))) cutSocket(exchange);
      return;
    case "stall":
      if (await sendHalf(exchange, script, body, Buffer.byteLength(body))) await exchange.untilGone();
      return;
    case "hugeLine":
      return answerHuge(exchange, plan, script);
    case "splitUtf8":
      if (!exchange.response.headersSent) begin(exchange, script);
      return endSplit(exchange, body);
    default:
      // No fault, or one that is in the body already (emptyChoices, noUsage), or one of streams only.
      exchange.settle("completed");
      if (!exchange.response.headersSent) begin(exchange, script, Buffer.byteLength(body));
      exchange.response.end(body);
  }
}

/** Answers with delays and faults. The latency has passed and the exchange is watched. */
export async function answerUnary(exchange: Exchange, plan: Plan, script: Script): Promise<void> {
  if (script.fault === "errorEvent") return answerErrorAsSuccess(exchange, script);
  exchange.startGeneration();
  if (script.fault === "hangAfterHeaders") {
    begin(exchange, script);
    exchange.response.flushHeaders();
    return exchange.untilGone();
  }
  if (script.keepAlives) {
    begin(exchange, script);
    if (!(await sendKeepAlives(exchange, script, "\n"))) return;
  }
  if (!(await generate(exchange, plan, script))) return;
  if (script.fault === "slowHeaders") {
    const body = exchange.wire.renderUnary(plan, exchange.startedAt);
    return answerWithSlowHeaders(exchange, script, { contentType: JSON_TYPE, body });
  }
  return answerWithFault(exchange, plan, script);
}
