import { defineEntity, p } from "@mikro-orm/core";
import type { Role } from "../core/keys.ts";

/** Table `api_key`. Never leaves the store. Secrets are kept as HMAC-SHA-256 only. */
export const ApiKeyEntity = defineEntity({
  name: "ApiKey",
  tableName: "api_key",
  properties: {
    apiKeyId: p.string().primary().fieldName("api_key_id").columnType("text"),
    displayName: p.string().fieldName("display_name").columnType("text"),
    roles: p.json().$type<readonly Role[]>().columnType("jsonb"),
    allowedModels: p.json().$type<readonly string[]>().fieldName("allowed_models").columnType("jsonb"),
    requestsPerMinute: p.integer().fieldName("requests_per_minute").nullable(),
    tokensPerMinute: p.integer().fieldName("tokens_per_minute").nullable(),
    maxConcurrent: p.integer().fieldName("max_concurrent").nullable(),
    tags: p.json().$type<Readonly<Record<string, string>>>().columnType("jsonb"),
    secretHash: p.blob().fieldName("secret_hash"),
    /** The secret before the last rotation, which works until `previousValidUntil`. */
    previousSecretHash: p.blob().fieldName("previous_secret_hash").nullable(),
    previousValidUntil: p.datetime().fieldName("previous_valid_until").columnType("timestamptz").nullable(),
    createdAt: p.datetime().fieldName("created_at").columnType("timestamptz"),
    createdBy: p.string().fieldName("created_by").columnType("text"),
    expiresAt: p.datetime().fieldName("expires_at").columnType("timestamptz").nullable(),
    revokedAt: p.datetime().fieldName("revoked_at").columnType("timestamptz").nullable(),
    /** Rises with every change, so that a change is made only to the row that was authorised. */
    revision: p.integer(),
  },
});

export const keyEntities = [ApiKeyEntity] as const;
