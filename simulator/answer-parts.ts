import type { Exchange } from "./exchange.ts";
import type { Plan } from "./plan.ts";
import type { Script } from "./script.ts";

/** Bytes of the line that `hugeLine` sends: 10 MB. */
export const HUGE_LINE_BYTES = 10 * 1000 * 1000;

const SPLIT_PAUSE_MS = 1;
const DEFAULT_HEADER_DELAY_MS = 50;

/** Tokens before a fault in the middle of an answer. */
export function tokensBeforeFault(plan: Plan, script: Script): number {
  return Math.min(plan.tokensOut, script.afterTokens ?? Math.floor(plan.tokensOut / 2));
}

/** The headers of a good answer. */
export function answerHeaders(
  exchange: Exchange,
  script: Script,
  contentType: string,
): Record<string, string> {
  return {
    "content-type": script.contentType ?? contentType,
    [exchange.wire.requestIdHeader]: exchange.callId,
    ...script.headers,
  };
}

/** Destroys the socket, so that the client sees the body end before its time. */
export function cutSocket(exchange: Exchange): void {
  exchange.settle("interrupted");
  exchange.response.destroy();
}

/** Keeps the client waiting with bytes that mean nothing. False when the client has gone. */
export async function sendKeepAlives(exchange: Exchange, script: Script, part: string): Promise<boolean> {
  for (let count = script.keepAlives ?? 0; count > 0; count -= 1) {
    if (!(await exchange.write(part))) return false;
    if (!(await exchange.wait(script.keepAliveIntervalMs ?? 0))) return false;
  }
  return true;
}

/** Ends a body with separate writes whose borders lie inside every character of more than one byte. */
export async function endSplit(exchange: Exchange, body: string): Promise<void> {
  const bytes = Buffer.from(body);
  let start = 0;
  for (let index = 1; index < bytes.length; index += 1) {
    // 10xxxxxx: a continuation byte, so a border before it lies inside a character.
    if (((bytes[index] ?? 0) & 0xc0) !== 0x80) continue;
    if (!(await exchange.write(bytes.subarray(start, index)))) return;
    if (!(await exchange.wait(SPLIT_PAUSE_MS))) return;
    start = index;
  }
  exchange.settle("completed");
  exchange.response.end(bytes.subarray(start));
}

/** Sends the whole answer over the bare socket, its header lines one by one. */
export async function answerWithSlowHeaders(
  exchange: Exchange,
  script: Script,
  { contentType, body }: { readonly contentType: string; readonly body: string },
): Promise<void> {
  const { socket } = exchange.response;
  if (!socket) return;
  const headers = {
    ...answerHeaders(exchange, script, contentType),
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  const lines = ["HTTP/1.1 200 OK", ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
  for (const line of lines) {
    socket.write(`${line}\r\n`);
    if (!(await exchange.wait(script.headerDelayMs ?? DEFAULT_HEADER_DELAY_MS))) return;
  }
  exchange.settle("completed");
  socket.end(`\r\n${body}`);
}
