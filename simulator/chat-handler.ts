import type { IncomingMessage, ServerResponse } from "node:http";
import { credentialIn } from "./accounts.ts";
import { answer } from "./answer.ts";
import { refuse } from "./answer-error.ts";
import type { ChatRequest } from "./chat-request.ts";
import type { Controlled } from "./control.ts";
import { splitModelName } from "./embedded-script.ts";
import { Exchange } from "./exchange.ts";
import type { Personality } from "./personalities.ts";
import { createPlan, type Plan } from "./plan.ts";
import { InvalidChatRequest } from "./request-checks.ts";
import type { OpenObservation } from "./request-log.ts";
import { type Script, ScriptError } from "./script.ts";

/** One call as it arrived. */
export interface ChatCall {
  readonly personality: Personality;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: string;
  readonly callId: string;
  readonly startedAt: number;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : value?.[0];
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new InvalidChatRequest("We could not parse the JSON body of your request.");
  }
}

interface Decision {
  readonly plan: Plan;
  readonly script: Script;
}

function decide(controlled: Controlled, call: ChatCall): Decision {
  const { personality, callId } = call;
  const request: ChatRequest = personality.wire.parseRequest(parseJson(call.body), call.request.url ?? "");
  const { model, script: modelSuffix } = splitModelName(request.model);
  const script = controlled.scripts.take({
    personality: personality.name,
    model,
    modelSuffix,
    lastUserText: request.lastUserText,
    header: headerText(call.request.headers["x-simulator-script"]),
  });
  return { plan: createPlan({ callId, personality, model, request, script }), script };
}

function referenceIn(body: string): string | undefined {
  return /\brequest=([\w-]{1,36})/.exec(body)?.[1];
}

function openExchange(controlled: Controlled, { request, response, ...call }: ChatCall): Exchange {
  const observation: OpenObservation = {
    callId: call.callId,
    method: request.method ?? "",
    path: request.url ?? "",
    headers: request.headers,
    bodyText: call.body,
    startedAt: call.startedAt,
    abortedAfterMs: undefined,
  };
  controlled.requests.record(observation);
  const { bill, active, accounts, onEvent } = controlled;
  return new Exchange({
    ...{ response, observation, bill, active, onEvent, personality: call.personality },
    account: accounts.of(credentialIn(request.headers)),
    reference: referenceIn(call.body),
  });
}

/** Answers a request for a completion: observes it, decides the answer, and writes it. */
export function handleChat(controlled: Controlled, call: ChatCall): void {
  const exchange = openExchange(controlled, call);
  if (!call.personality.wire.isAuthorized(call.request.headers)) {
    const message = "You didn't provide an API key in the header of this API.";
    refuse(exchange, { status: 401, message, type: undefined, code: undefined });
    return;
  }
  let decision: Decision;
  try {
    decision = decide(controlled, call);
  } catch (error) {
    if (!(error instanceof InvalidChatRequest || error instanceof ScriptError)) throw error;
    const param = error instanceof InvalidChatRequest ? error.param : undefined;
    refuse(exchange, { status: 400, message: error.message, type: undefined, code: undefined, param });
    return;
  }
  answer(exchange, decision.plan, decision.script);
}
