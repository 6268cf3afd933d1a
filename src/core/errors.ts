import { ERROR_TABLE, type ErrorReason, type ErrorRow } from "./error-table.ts";

/** One violation of the contract: the field's path as in the proto, and what is wrong with it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
  /** The id of the rule that was broken, where it has one. */
  readonly reason?: string | undefined;
}

/** A limit that was hit. */
export interface QuotaViolation {
  /** What the limit applies to, e.g. `api_key:k_…`. */
  readonly subject: string;
  readonly description: string;
  /** The limit's name, e.g. `requests_per_minute`. */
  readonly quotaId: string;
  readonly quotaValue: number;
}

export interface GatewayErrorOptions {
  /** What really happened, for the log; never sent to a caller. */
  readonly cause?: unknown;
  /** Safe to show: keys match `[a-z][a-zA-Z0-9_-]+`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Whether the caller may send the same again. @default as the error table says */
  readonly retryable?: boolean | undefined;
  /** How long the caller should wait before it tries again. */
  readonly retryAfterMs?: number | undefined;
  readonly fieldViolations?: readonly FieldViolation[] | undefined;
  readonly quotaViolations?: readonly QuotaViolation[] | undefined;
}

/** The one error of the gateway. `message` is safe to show to a caller; `cause` is not. */
export class GatewayError extends Error {
  override readonly name: string = "GatewayError";
  readonly reason: ErrorReason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly fieldViolations: readonly FieldViolation[];
  readonly quotaViolations: readonly QuotaViolation[];

  constructor(reason: ErrorReason, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.retryable = options.retryable ?? ERROR_TABLE[reason].retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.fieldViolations = options.fieldViolations ?? [];
    this.quotaViolations = options.quotaViolations ?? [];
  }

  get row(): ErrorRow {
    return ERROR_TABLE[this.reason];
  }

  /** The metric label `error_type`. */
  get errorType(): string {
    return this.row.errorType;
  }

  /** Any thrown value as a GatewayError; what is unknown becomes INTERNAL with a message that tells nothing. */
  static from(error: unknown): GatewayError {
    if (error instanceof GatewayError) return error;
    return new GatewayError("INTERNAL", "internal error", { cause: error });
  }
}
