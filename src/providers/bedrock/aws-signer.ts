import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import type { SignatureV4 } from "@smithy/signature-v4";
import type { Sign } from "../http-provider.ts";

/** Long-lived or temporary credentials of AWS, and the region that they are used in. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials; they are not renewed. */
  readonly sessionToken: string | undefined;
  readonly region: string;
}

/** SHA-256, or with a secret its HMAC, as the signer wants it. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash("sha256")
        : createHmac("sha256", typeof secret === "string" ? secret : toBytes(secret));
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === "string" ? data : toBytes(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error("a hash is used once");
  }
}

function toBytes(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

/**
 * Signs requests to one origin with AWS Signature Version 4, by the AWS SDK's own signer, which is loaded with the first
 * request. The credentials are those given, and no others are looked for: a search would ask hosts that no
 * configuration names.
 */
export function createAwsSigner(origin: URL, credentials: AwsCredentials): Sign {
  let signer: Promise<SignatureV4> | undefined;
  return async ({ path, body }) => {
    signer ??= loadSigner(credentials);
    const { headers } = await (await signer).sign({
      method: "POST",
      protocol: origin.protocol,
      hostname: origin.hostname,
      path,
      // The names and values that the transport sends.
      headers: { host: origin.host, "content-type": "application/json" },
      body,
    });
    return Object.entries(headers).flatMap(([name, value]) =>
      name === "host" || name === "content-type" ? [] : [name, value],
    );
  };
}

async function loadSigner({ region, ...credentials }: AwsCredentials): Promise<SignatureV4> {
  const { SignatureV4 } = await import("@smithy/signature-v4");
  return new SignatureV4({ service: "bedrock", region, credentials, sha256: Sha256 });
}
