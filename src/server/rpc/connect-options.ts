import { isUtf8 } from "node:buffer";
import { Code, ConnectError } from "@connectrpc/connect";
import { type UniversalHandlerOptions, validateUniversalHandlerOptions } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";

/** Smaller answers are sent as they are: within a data centre, gzip costs more time than it saves. */
const COMPRESS_MIN_BYTES = 16 * 1024;

/**
 * JSON bytes as text. Connect's own decoder puts replacement characters in place of bad UTF-8, and the call
 * would succeed with a text that nobody wrote.
 */
const strictUtf8 = {
  decode(bytes: Uint8Array): string {
    if (!isUtf8(bytes)) throw new ConnectError("the JSON is not valid UTF-8", Code.InvalidArgument);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  },
};

/** How messages are coded, compressed and bounded, by Connect's handlers and by the direct path alike. */
export function connectOptions(maxMessageBytes: number): UniversalHandlerOptions {
  return validateUniversalHandlerOptions({
    acceptCompression: [compressionGzip, compressionBrotli],
    compressMinBytes: COMPRESS_MIN_BYTES,
    readMaxBytes: maxMessageBytes,
    // Numbers that are zero and lists that are empty are there too, so that callers need not know what may be absent.
    jsonOptions: { ignoreUnknownFields: false, alwaysEmitImplicit: true, textDecoder: strictUtf8 } as object,
    binaryOptions: { readUnknownFields: false },
  });
}
