import type { IncomingMessage, ServerResponse } from "node:http";
import type { Accounts } from "./accounts.ts";
import type { Bill, BillTotal } from "./bill.ts";
import type { ActiveCalls, CallEvent } from "./exchange.ts";
import { LIST_PRICES } from "./prices.ts";
import type { RequestLog } from "./request-log.ts";
import { parseScript, ScriptError } from "./script.ts";
import type { ScriptBook, ScriptEntry } from "./script-book.ts";

/** What the control endpoints read and change. */
export interface Controlled {
  readonly bill: Bill;
  readonly requests: RequestLog;
  readonly scripts: ScriptBook;
  readonly active: ActiveCalls;
  readonly accounts: Accounts;
  readonly onEvent: ((event: CallEvent) => void) | undefined;
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

function optionalText(value: unknown, name: string): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  throw new ScriptError(`simulator: ${name} is a string`);
}

function parseEntry(text: string): ScriptEntry {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) throw new ScriptError("simulator: expected a JSON object");
  const { personality, model, script, times }: Record<string, unknown> = { ...value };
  if (times !== undefined && (typeof times !== "number" || !Number.isSafeInteger(times) || times < 1)) {
    throw new ScriptError("simulator: times is a positive integer");
  }
  return {
    personality: optionalText(personality, "personality"),
    model: optionalText(model, "model"),
    script: parseScript(script),
    times,
  };
}

function totalJson(total: BillTotal): unknown {
  return { ...total, costPicoUsd: total.costPicoUsd?.toString() ?? null };
}

/** `?wait=1` waits until no call is in progress; `?lines=N` gives only the latest N lines. */
async function readBill({ bill, active }: Controlled, query: URLSearchParams): Promise<unknown> {
  if (query.has("wait")) await active.whenIdle();
  const lines = bill.lines;
  const kept = query.has("lines")
    ? lines.slice(Math.max(0, lines.length - Number(query.get("lines"))))
    : lines;
  return {
    lines: kept,
    droppedLines: bill.droppedLines,
    totals: bill.totals().map(totalJson),
    completedTotals: bill.totals("completed").map(totalJson),
    interruptedTotals: bill.totals("interrupted").map(totalJson),
  };
}

/** Does what a control request asks for and returns what to answer; undefined when there is no such control. */
async function control(
  controlled: Controlled,
  action: string,
  body: string,
  query: URLSearchParams,
): Promise<unknown> {
  switch (action) {
    case "POST /_control/script":
      controlled.scripts.set(parseEntry(body));
      return {};
    case "DELETE /_control/script":
      controlled.scripts.clear();
      return {};
    case "GET /_control/bill":
      return readBill(controlled, query);
    case "DELETE /_control/bill":
      controlled.bill.clear();
      return {};
    case "GET /_control/requests":
      return { requests: controlled.requests.recent() };
    case "DELETE /_control/requests":
      controlled.requests.clear();
      return {};
    case "GET /_control/prices":
      return { prices: LIST_PRICES };
    default:
      return undefined;
  }
}

/** Answers `/_control/…`. The caller has checked that the client may. */
export async function handleControl(
  controlled: Controlled,
  request: IncomingMessage,
  response: ServerResponse,
  body: string,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://simulator");
  const action = `${request.method} ${url.pathname}`;
  try {
    const result = await control(controlled, action, body, url.searchParams);
    if (result === undefined) send(response, 404, { error: { message: `no such control: ${action}` } });
    else send(response, 200, result);
  } catch (error) {
    if (!(error instanceof ScriptError || error instanceof SyntaxError)) throw error;
    send(response, 400, { error: { message: error.message } });
  }
}
