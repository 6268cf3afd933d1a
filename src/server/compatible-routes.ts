import { createAnthropicRoutes } from "./anthropic/anthropic-routes.ts";
import type { CompatibleDependencies } from "./compatible/compatible-dependencies.ts";
import type { NodeHandler, NodeRequest } from "./node-exchange.ts";
import { createOpenAiRoutes } from "./openai/openai-routes.ts";
import { spokenApi } from "./spoken-api.ts";

/** The routes of all APIs that are compatible with those of providers; undefined for a path that is of none. */
export function createCompatibleRoutes(
  dependencies: CompatibleDependencies,
): (path: string, request: NodeRequest) => NodeHandler | undefined {
  const findRoutes = {
    openai: createOpenAiRoutes(dependencies),
    anthropic: createAnthropicRoutes(dependencies),
  };
  return (path, request) => {
    const api = spokenApi(path, request.headers);
    return api && findRoutes[api](path);
  };
}
