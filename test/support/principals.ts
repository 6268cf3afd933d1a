import type { KeyLimits, NewKey, Principal } from "../../src/core/keys.ts";

export const UNLIMITED: KeyLimits = {
  requestsPerMinute: undefined,
  tokensPerMinute: undefined,
  maxConcurrent: undefined,
};

export function principal(changes: Partial<Principal> = {}): Principal {
  return {
    apiKeyId: "k_caller000000",
    roles: ["invoke"],
    allowedModels: [],
    limits: UNLIMITED,
    tags: {},
    ...changes,
  };
}

export const ADMIN: Principal = principal({ apiKeyId: "admin", roles: ["admin"] });

export function newKey(changes: Partial<NewKey> = {}): NewKey {
  return {
    displayName: "search service",
    roles: ["invoke"],
    allowedModels: [],
    limits: UNLIMITED,
    tags: { team: "search" },
    expiresAt: undefined,
    ...changes,
  };
}
