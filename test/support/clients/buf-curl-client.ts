import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  create,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { type ConnectErrorJson, failureFromJson } from "./connect-json.ts";
import { type CallOptions, type GatewayClient, requestHeaders } from "./gateway-client.ts";

const PACKAGES = join(import.meta.dirname, "../../../node_modules/@bufbuild");

export type BufCurlProtocol = "grpc" | "grpcweb" | "connect";

/** `buf curl`, a client in Go that learns the schema by reflection before each call. */
export function createBufCurlClient(
  url: string,
  protocol: BufCurlProtocol,
  extraArguments: readonly string[] = [],
): GatewayClient {
  const buf = bufBinary();
  const h2c = url.startsWith("http:") ? ["--http2-prior-knowledge"] : [];

  function start<I extends DescMessage>(
    method: { readonly parent: { readonly typeName: string }; readonly name: string; readonly input: I },
    request: MessageInitShape<I>,
    options: CallOptions,
  ) {
    const headers = Object.entries(requestHeaders(options));
    const child = spawn(
      buf,
      [
        ...["curl", "--verbose", "--emit-defaults", "--protocol", protocol, ...h2c, ...extraArguments],
        ...(options.timeoutMs === undefined ? [] : ["--timeout", `${options.timeoutMs}ms`]),
        ...headers.flatMap(([name, value]) => ["--header", `${name}: ${value}`]),
        ...["--data", "@-", `${url}/${method.parent.typeName}/${method.name}`],
      ],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    let verbose = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      verbose += text;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(JSON.stringify(toJson(method.input, create(method.input, request))));
    const closed = once(child, "close");
    return {
      child,
      documents: jsonDocuments(child.stdout.setEncoding("utf8")),
      /** Headers of the call, once it has ended; throws what it ended with. */
      async ended(): Promise<Headers> {
        const [code] = (await closed) as [number | null];
        const headers = responseHeaders(verbose);
        if (code === 0) return headers;
        const error = verbose
          .split("\n")
          .filter((line) => !line.startsWith("buf: "))
          .join("\n");
        if (!error.trim().startsWith("{")) throw new Error(`buf curl exited with ${code}: ${verbose}`);
        throw failureFromJson(JSON.parse(error) as ConnectErrorJson, headers);
      },
    };
  }

  return {
    async unary(method, request, options = {}) {
      const call = start(method, request, options);
      let message: JsonValue | undefined;
      for await (const document of call.documents) message = document;
      const headers = await call.ended();
      return { message: fromJson(method.output, message ?? {}), headers };
    },
    async *stream(method, request, options = {}) {
      const call = start(method, request, options);
      try {
        for await (const document of call.documents) yield fromJson(method.output, document);
        await call.ended();
      } finally {
        call.child.kill("SIGKILL");
      }
    },
    close: () => undefined,
  };
}

/** The program itself: a signal to its wrapper in JavaScript does not reach it. */
function bufBinary(): string {
  const platform = readdirSync(PACKAGES).find((name) => name.startsWith("buf-"));
  if (!platform) throw new Error("buf is not installed for this platform");
  return join(PACKAGES, platform, "bin/buf");
}

/** It prints indented documents, one after the other. */
async function* jsonDocuments(output: AsyncIterable<string>): AsyncGenerator<JsonValue> {
  let text = "";
  for await (const chunk of output) {
    text += chunk;
    for (let end = documentEnd(text); end > 0; end = documentEnd(text)) {
      yield JSON.parse(text.slice(0, end)) as JsonValue;
      text = text.slice(end);
    }
  }
  if (text.trim() !== "") yield JSON.parse(text) as JsonValue;
}

function documentEnd(text: string): number {
  const end = text.search(/^(\{\}|\})\n/m);
  return end < 0 ? 0 : text.indexOf("\n", end) + 1;
}

/** Lines such as `buf: < (#2) X-Request-Id: 1` of the call itself; the first call is the reflection. */
function responseHeaders(verbose: string): Headers {
  const headers = new Headers();
  const call = verbose.slice(verbose.indexOf("Invoking RPC"));
  for (const [, name = "", value = ""] of call.matchAll(/^buf: < \(#2\) (?:\[\*\] )?([\w-]+): (.*)$/gm)) {
    headers.set(name, value);
  }
  return headers;
}
