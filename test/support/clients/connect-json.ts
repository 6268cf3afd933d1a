import { CallFailure } from "./gateway-client.ts";

/** An error as Connect writes it in JSON. */
export interface ConnectErrorJson {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

export function failureFromJson(error: ConnectErrorJson, headers: Headers): CallFailure {
  return new CallFailure(error.message ?? "", {
    code: error.code,
    headers,
    details: (error.details ?? []).map(({ type, value }) => ({
      typeUrl: type,
      value: Uint8Array.from(Buffer.from(value, "base64")),
    })),
  });
}
