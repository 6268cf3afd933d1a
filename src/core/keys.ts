/** What a key may do. Deny by default: a key without a role can do nothing. */
export type Role = "invoke" | "read_costs" | "manage_keys" | "admin";
export const ROLES: readonly Role[] = ["invoke", "read_costs", "manage_keys", "admin"];

/** Undefined means unlimited. */
export interface KeyLimits {
  readonly requestsPerMinute: number | undefined;
  readonly tokensPerMinute: number | undefined;
  readonly maxConcurrent: number | undefined;
}

/** An API key without its secret. */
export interface ApiKey {
  /** `k_` and the twelve characters of the public id; for the administrator key `admin`. */
  readonly apiKeyId: string;
  readonly displayName: string;
  readonly roles: readonly Role[];
  /** Model names or aliases that the key may use; empty means all. */
  readonly allowedModels: readonly string[];
  readonly limits: KeyLimits;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
  readonly revokedAt: Date | undefined;
}

/** Who calls, once the key was checked. */
export type Principal = Pick<ApiKey, "apiKeyId" | "roles" | "allowedModels" | "limits" | "tags">;

/** `admin` may do everything. */
export function hasRole(principal: Principal, role: Role): boolean {
  return principal.roles.includes(role) || principal.roles.includes("admin");
}

export interface Authenticator {
  /**
   * Checks a presented secret. A malformed one never reaches the database.
   * @throws GatewayError UNAUTHENTICATED, with one and the same message for every cause.
   */
  authenticate(secret: string | undefined): Promise<Principal>;
}

export interface NewKey {
  readonly displayName: string;
  readonly roles: readonly Role[];
  readonly allowedModels: readonly string[];
  readonly limits: KeyLimits;
  readonly tags: Readonly<Record<string, string>>;
  readonly expiresAt: Date | undefined;
}

/** What `UpdateKey` may change; undefined leaves a property as it is. */
export type KeyChanges = {
  readonly [P in keyof NewKey]?: NewKey[P];
} & { readonly clearExpiry?: boolean };

/** Managing keys. @throws GatewayError NOT_FOUND, INVALID_REQUEST, PERMISSION_DENIED (granting a role one does not hold) */
export interface KeyService {
  create(actor: Principal, key: NewKey): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  get(actor: Principal, apiKeyId: string): Promise<ApiKey>;
  list(
    actor: Principal,
    page: {
      readonly pageSize: number;
      readonly pageToken: string | undefined;
      readonly includeRevoked: boolean;
    },
  ): Promise<{ readonly keys: readonly ApiKey[]; readonly nextPageToken: string | undefined }>;
  update(actor: Principal, apiKeyId: string, changes: KeyChanges): Promise<ApiKey>;
  /** The old secret goes on working for `overlapMs`. At most two secrets work at once: an older overlap ends. */
  rotate(
    actor: Principal,
    apiKeyId: string,
    overlapMs: number,
  ): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  revoke(actor: Principal, apiKeyId: string): Promise<ApiKey>;
}

/** A place within a key's limits, taken by one request. */
export interface Admission {
  /** Gives the concurrency place back and corrects the token count from the estimate to what was used. Idempotent. */
  release(actualTokens: number): void;
  /** What was left of the limits when the place was taken; absent when the key has none. */
  readonly limits?: RateLimitStatus | undefined;
}

/** One limit of a key, as a request found it. */
export interface LimitStatus {
  readonly limit: number;
  readonly remaining: number;
  /** Until all of it is there again. */
  readonly resetMs: number;
}

/** What is left of a key's limits per minute; undefined where it has none. */
export interface RateLimitStatus {
  readonly requests: LimitStatus | undefined;
  readonly tokens: LimitStatus | undefined;
}

export interface RateLimiter {
  /** @throws GatewayError RATE_LIMITED with `retryAfterMs` and the violated limit */
  admit(principal: Principal, estimatedTokens: number): Promise<Admission>;
}
