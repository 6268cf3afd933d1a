import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import { extname, join, normalize } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const PACKAGES = [
  "@bufbuild/protobuf",
  "@bufbuild/protovalidate",
  "@connectrpc/connect",
  "@connectrpc/connect-web",
];

/** A web server with one page, whose script is a module that may import the clients and `/gen/es/…`. */
export interface PageServer {
  readonly origin: string;
  close(): Promise<void>;
}

/** Serves packages and generated code unbundled: what the browser runs is what the packages ship. */
export async function servePage(script: string): Promise<PageServer> {
  const page = `<!doctype html><title>test</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports: importMap() })}</script>
<script type="module">${script}</script>`;
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    if (path === "/") {
      response.writeHead(200, { "content-type": "text/html" }).end(page);
    } else if (/^\/(gen\/es|node_modules\/@(bufbuild|connectrpc))\//.test(path)) {
      response.writeHead(200, { "content-type": "text/javascript" }).end(readModule(path));
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    origin: `http://127.0.0.1:${address.port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function readModule(path: string): string {
  const source = readFileSync(join(ROOT, path), "utf8");
  return extname(path) === ".ts" ? stripTypeScriptTypes(source) : source;
}

/** What each name that the packages export stands for. */
function importMap(): Record<string, string> {
  const imports: Record<string, string> = {};
  for (const name of PACKAGES) {
    const manifest = JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")) as {
      readonly exports: Readonly<Record<string, unknown>>;
    };
    for (const [subpath, target] of Object.entries(manifest.exports)) {
      const file = moduleOf(target);
      if (file) imports[join(name, subpath)] = join("/node_modules", name, file);
    }
  }
  return imports;
}

/** The file behind the conditions of a package's export. */
function moduleOf(target: unknown): string | undefined {
  if (typeof target === "string") return target;
  if (typeof target !== "object" || target === null) return undefined;
  const conditions = target as Readonly<Record<string, unknown>>;
  return moduleOf(conditions.import ?? conditions.default);
}
