import { GatewayError } from "../../core/errors.ts";
import { commonResponse, type NodeHandler } from "../node-exchange.ts";
import { serveChatCompletions } from "./chat-completions.ts";
import { listModels, retrieveModel } from "./models.ts";
import { OpenAiCall } from "./openai-call.ts";
import type { OpenAiDependencies } from "./openai-dependencies.ts";

/** The route of a path; undefined when there is none. */
export type FindRoute = (path: string) => NodeHandler | undefined;

const MODEL_PREFIX = "/v1/models/";

/**
 * The OpenAI-compatible API: `POST /v1/chat/completions`, `GET /v1/models` and `GET /v1/models/{id}`. A second face
 * of the gateway: keys, limits, deadline, chain, ledger and telemetry are those of the RPCs.
 */
export function createOpenAiRoutes(dependencies: OpenAiDependencies): FindRoute {
  const route = (
    name: string,
    serve: (call: OpenAiCall, path: string) => void,
  ): ((path: string) => NodeHandler) => {
    const [method = ""] = name.split(" ", 1);
    const settings = { rpcMethod: name, telemetry: dependencies.telemetry, clock: dependencies.clock };
    return (path) => (request, response) => {
      const call = new OpenAiCall(settings, { request, response: commonResponse(response) });
      if (request.method === method || (method === "GET" && request.method === "HEAD")) serve(call, path);
      else refuseMethod(call, method);
    };
  };
  const chat = route("POST /v1/chat/completions", (call) => serveChatCompletions(dependencies, call))("");
  const models = route("GET /v1/models", (call) => call.answer(listModels(dependencies, call)))("");
  const model = route("GET /v1/models/{id}", (call, path) =>
    call.answer(retrieveModel(dependencies, call, decodeId(path))),
  );
  return (path) => {
    if (path === "/v1/chat/completions") return chat;
    if (path === "/v1/models") return models;
    return path.startsWith(MODEL_PREFIX) && path.length > MODEL_PREFIX.length ? model(path) : undefined;
  };
}

function refuseMethod(call: OpenAiCall, method: string): void {
  const error = new GatewayError("INVALID_REQUEST", `this path takes ${method}`);
  call.finish(error);
  call.sendError(error, { status: 405, headers: { allow: method } });
}

/** The rest of the path: names of models have slashes, which clients encode or not. */
function decodeId(path: string): string {
  const id = path.slice(MODEL_PREFIX.length);
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
