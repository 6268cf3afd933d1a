import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { AnswerHeaders } from "./handler.ts";
import { readOpenApi } from "./openapi.ts";

/** A file of the documentation, as it is sent. */
export interface DocumentationFile {
  readonly headers: AnswerHeaders;
  readonly etag: string;
  readonly body: Buffer;
  readonly gzipped: Buffer;
}

/** The pages under `/docs`, and `/openapi.json`. */
export interface Documentation {
  has(path: string): boolean;
  /** Read and compressed when first asked for, then kept. @throws Error when the package's files are missing */
  read(path: string): Promise<DocumentationFile>;
}

interface Source {
  readonly contentType: string;
  readonly cacheControl: string;
  read(): Promise<Buffer>;
}

/** Everything comes from here, nothing from elsewhere; no inline script. The UI sets styles inline. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

// The links are relative, so that the page also works behind a path prefix.
const PAGE = `<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>llm-gateway API</title>
    <link rel="stylesheet" href="docs/swagger-ui.css" />
    <link rel="icon" type="image/png" href="docs/favicon-32x32.png" />
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/init.js"></script>
  </body>
</html>
`;

// No validator: it would send the document's address to another host.
const INIT_SCRIPT = `SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
`;

const compress = promisify(gzip);

export function createDocumentation(): Documentation {
  const sources: ReadonlyMap<string, Source> = new Map([
    ["/docs", text("text/html; charset=utf-8", PAGE)],
    ["/docs/init.js", text("text/javascript; charset=utf-8", INIT_SCRIPT)],
    ["/docs/swagger-ui.css", asset("text/css; charset=utf-8", "swagger-ui.css")],
    ["/docs/swagger-ui-bundle.js", asset("text/javascript; charset=utf-8", "swagger-ui-bundle.js")],
    ["/docs/favicon-32x32.png", asset("image/png", "favicon-32x32.png")],
    ["/openapi.json", { contentType: "application/json", cacheControl: "no-cache", read: readOpenApi }],
  ]);
  const files = new Map<string, Promise<DocumentationFile>>();

  return {
    has: (path) => sources.has(path),
    read(path) {
      const known = files.get(path);
      if (known !== undefined) return known;
      const source = sources.get(path);
      if (source === undefined) return Promise.reject(new RangeError(`no such page: ${path}`));
      const file = load(source);
      files.set(path, file);
      // A failure is not kept: the next request tries again.
      file.catch(() => files.delete(path));
      return file;
    },
  };
}

async function load({ contentType, cacheControl, read }: Source): Promise<DocumentationFile> {
  const body = await read();
  return {
    headers: {
      "content-type": contentType,
      "cache-control": cacheControl,
      "content-security-policy": CONTENT_SECURITY_POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      vary: "accept-encoding",
    },
    etag: `"${createHash("sha256").update(body).digest("base64url")}"`,
    body,
    gzipped: await compress(body),
  };
}

function text(contentType: string, content: string): Source {
  return { contentType, cacheControl: "no-cache", read: () => Promise.resolve(Buffer.from(content)) };
}

/** A file of the installed package; it changes only with the package. */
function asset(contentType: string, name: string): Source {
  return {
    contentType,
    cacheControl: "public, max-age=86400",
    read: () => readFile(new URL(import.meta.resolve(`swagger-ui-dist/${name}`))),
  };
}
