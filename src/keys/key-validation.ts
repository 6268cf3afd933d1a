import { type FieldViolation, GatewayError } from "../core/errors.ts";
import { type KeyChanges, type KeyLimits, ROLES } from "../core/keys.ts";

const MAX_DISPLAY_NAME_CHARACTERS = 128;
const MAX_ALLOWED_MODELS = 100;
const MODEL_PATTERN = /^[\x21-\x7e]{1,200}$/;
const MAX_TAGS = 16;
const TAG_KEY_PATTERN = /^[A-Za-z0-9_.-]{1,63}$/;
const MAX_TAG_VALUE_CHARACTERS = 128;
// The column is a 32-bit integer.
const MAX_LIMIT = 2_147_483_647;
const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * Checks what a caller wants a key to be; absent properties are not looked at. Fields are named as in the proto,
 * relative to the key.
 * @throws GatewayError INVALID_REQUEST with every violation at once
 */
export function validateKey(key: KeyChanges, now: Date): void {
  const violations: FieldViolation[] = [
    ...displayNameViolations(key.displayName),
    ...roleViolations(key.roles),
    ...modelViolations(key.allowedModels),
    ...limitViolations(key.limits),
    ...tagViolations(key.tags),
    ...expiryViolations(key, now),
  ];
  if (violations.length > 0) throw invalid(violations);
}

/** An INVALID_REQUEST that names each field. */
export function invalid(fieldViolations: readonly FieldViolation[]): GatewayError {
  const message = fieldViolations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return new GatewayError("INVALID_REQUEST", message, { fieldViolations });
}

function displayNameViolations(displayName: string | undefined): FieldViolation[] {
  if (displayName === undefined) return [];
  const field = "display_name";
  if (displayName.trim() === "") return [{ field, description: "must not be empty" }];
  if (displayName.length > MAX_DISPLAY_NAME_CHARACTERS) {
    return [{ field, description: `must have at most ${MAX_DISPLAY_NAME_CHARACTERS} characters` }];
  }
  if (CONTROL_CHARACTER.test(displayName))
    return [{ field, description: "must not contain control characters" }];
  return [];
}

function roleViolations(roles: KeyChanges["roles"]): FieldViolation[] {
  if (roles === undefined) return [];
  if (roles.length === 0) return [{ field: "roles", description: "must name at least one role" }];
  if (roles.length > ROLES.length || new Set(roles).size !== roles.length) {
    return [{ field: "roles", description: "must not repeat a role" }];
  }
  return roles.flatMap((role, index) =>
    ROLES.includes(role) ? [] : [{ field: `roles[${index}]`, description: "is not a role" }],
  );
}

function modelViolations(models: readonly string[] | undefined): FieldViolation[] {
  if (models === undefined) return [];
  if (models.length > MAX_ALLOWED_MODELS) {
    return [{ field: "allowed_models", description: `must name at most ${MAX_ALLOWED_MODELS} models` }];
  }
  return models.flatMap((model, index) =>
    MODEL_PATTERN.test(model)
      ? []
      : [{ field: `allowed_models[${index}]`, description: "must be 1 to 200 printable ASCII characters" }],
  );
}

function limitViolations(limits: KeyLimits | undefined): FieldViolation[] {
  if (limits === undefined) return [];
  const named: readonly (readonly [string, number | undefined])[] = [
    ["limits.requests_per_minute", limits.requestsPerMinute],
    ["limits.tokens_per_minute", limits.tokensPerMinute],
    ["limits.max_concurrent", limits.maxConcurrent],
  ];
  return named.flatMap(([field, limit]) =>
    limit === undefined || (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT)
      ? []
      : [{ field, description: `must be a whole number from 1 to ${MAX_LIMIT}` }],
  );
}

function tagViolations(tags: Readonly<Record<string, string>> | undefined): FieldViolation[] {
  if (tags === undefined) return [];
  const entries = Object.entries(tags);
  if (entries.length > MAX_TAGS)
    return [{ field: "tags", description: `must have at most ${MAX_TAGS} entries` }];
  return entries.flatMap(([key, value]) => {
    if (!TAG_KEY_PATTERN.test(key)) {
      return [{ field: "tags", description: "keys must be 1 to 63 of letters, digits, '_', '.' and '-'" }];
    }
    return value.length > MAX_TAG_VALUE_CHARACTERS || CONTROL_CHARACTER.test(value)
      ? [
          {
            field: `tags.${key}`,
            description: `must be at most ${MAX_TAG_VALUE_CHARACTERS} printable characters`,
          },
        ]
      : [];
  });
}

function expiryViolations({ expiresAt, clearExpiry }: KeyChanges, now: Date): FieldViolation[] {
  const field = "expires_at";
  if (expiresAt === undefined) return [];
  if (clearExpiry) return [{ field, description: "must not be given together with clear_expiry" }];
  if (!(expiresAt.getTime() > now.getTime())) return [{ field, description: "must lie in the future" }];
  return [];
}
