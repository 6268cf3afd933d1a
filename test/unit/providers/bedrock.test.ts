import { Sha256 } from "@smithy/core/checksum";
import { SignatureV4 } from "@smithy/signature-v4";
import { describe, expect, it } from "vitest";
import { createBedrockDialect } from "../../../src/providers/bedrock/dialect.ts";
import { createProvider } from "../../../src/providers/create-provider.ts";
import { EventStreamDecoder } from "../../../src/providers/event-stream-decoder.ts";
import { API_KEY, describeProvider } from "../../suites/provider-suite.ts";
import { awsEvent, awsFrame, HEADERS_OF_EVERY_TYPE } from "../../support/aws-frames.ts";
import { answersWith, callOf, failureOf } from "../../support/provider-calls.ts";
import { type ReceivedRequest, ScriptedProvider } from "../../support/scripted-provider.ts";
import { bedrockWire } from "../../support/wires/bedrock-wire.ts";

const MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0";

describeProvider({
  profile: "bedrock",
  wire: bedrockWire,
  keyHeaders: { authorization: `Bearer ${API_KEY}` },
  basePath: "",
  model: MODEL,
  responseModel: undefined,
  headers: {},
  requestId: "0a1b2c3d-4e5f",
  usage: {
    tokensIn: 1_200,
    tokensOut: 310,
    uncachedTokensIn: 76,
    cacheReadTokensIn: 1_024,
    cacheWriteTokensIn: 100,
    textTokensOut: 310,
    reasoningTokensOut: undefined,
  },
  reasoning: "A greeting.",
  errors: {
    "error-authentication": { reason: "PROVIDER_AUTHENTICATION" },
    "error-permission": { reason: "PROVIDER_AUTHENTICATION" },
    "error-rate-limit": { reason: "PROVIDER_RATE_LIMITED", retryAfterMs: 2_000 },
    "error-quota": { reason: "PROVIDER_QUOTA_EXHAUSTED" },
    "error-context": { reason: "CONTEXT_TOO_LONG" },
    "error-model": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-missing": { reason: "PROVIDER_MODEL_NOT_FOUND" },
    "error-invalid": { reason: "PROVIDER_INVALID_REQUEST" },
    "error-timeout": { reason: "PROVIDER_ERROR" },
    "error-model-failed": { reason: "PROVIDER_ERROR" },
    "error-overloaded": { reason: "PROVIDER_OVERLOADED", retryAfterMs: 3_000 },
    "error-server": { reason: "PROVIDER_ERROR" },
  },
});

const CREDENTIALS = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  sessionToken: "a-session-token-canary",
};

/** Checks a request as AWS does: the signature made anew from what was received. */
async function signatureOf({ method, path, headers, body }: ReceivedRequest): Promise<string | undefined> {
  const { host, "content-type": contentType, "x-amz-date": date = "" } = headers;
  const signer = new SignatureV4({
    service: "bedrock",
    region: "eu-central-1",
    credentials: CREDENTIALS,
    sha256: Sha256,
  });
  const signed = await signer.sign(
    {
      method,
      path,
      body,
      protocol: "http:",
      hostname: "127.0.0.1",
      headers: { host: host ?? "", "content-type": contentType ?? "" },
    },
    { signingDate: new Date(String(date).replace(/^(....)(..)(..T..)(..)/, "$1-$2-$3:$4:")) },
  );
  return signed.headers.authorization;
}

describe("a request to Bedrock with AWS credentials", () => {
  it("is signed for what goes over the wire, the model's name included, and is sent once", async () => {
    await using standIn = await ScriptedProvider.start();
    const provider = createProvider({
      name: "bedrock",
      profile: "bedrock",
      baseUrl: standIn.origin,
      apiKey: undefined,
      aws: { ...CREDENTIALS, region: "eu-central-1" },
      connectTimeoutMs: 2_000,
    });
    for (const [fixture, kind] of [
      ["bedrock/completion.json", "complete"],
      ["bedrock/stream.events", "stream"],
    ] as const) {
      standIn.does(answersWith(fixture));
      const call = callOf({ model: MODEL });
      await (kind === "complete" ? provider.complete(call) : provider.stream(call, () => undefined));
      const request = standIn.onlyRequest;
      expect(request.headers["x-amz-security-token"]).toBe(CREDENTIALS.sessionToken);
      expect(request.headers.authorization).toMatch(
        /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/bedrock\/aws4_request, SignedHeaders=content-type;host;/,
      );
      expect(request.headers.authorization).toBe(await signatureOf(request));
    }
    standIn.does((response) => void response.writeHead(500).end(CREDENTIALS.secretAccessKey));
    const error = await failureOf(provider.complete(callOf()));
    expect(`${error.message} ${String(error.cause)}`).not.toContain(CREDENTIALS.secretAccessKey);
    expect(standIn.requests).toHaveLength(1);
    await provider.close();
  });

  it("cannot also have a key, and no other provider takes them", () => {
    const options = { name: "x", baseUrl: "http://127.0.0.1:1", connectTimeoutMs: 1_000 };
    const aws = { ...CREDENTIALS, region: "eu-central-1" };
    const attempts = [
      () => createProvider({ ...options, profile: "bedrock", apiKey: "k", aws }),
      () => createProvider({ ...options, profile: "openai", apiKey: undefined, aws }),
      () => createProvider({ ...options, profile: "bedrock", apiKey: undefined }),
    ];
    for (const attempt of attempts) expect(attempt).toThrow(RangeError);
  });
});

describe("AWS's framing of a stream", () => {
  const WHOLE =
    awsEvent("messageStart", { role: "assistant" }) +
    awsEvent("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "Grüße 👋" } }) +
    awsEvent("messageStop", { stopReason: "end_turn" }) +
    awsEvent("metadata", { usage: { inputTokens: 3, outputTokens: 2 } });
  const newDecoder = () => new EventStreamDecoder(createBedrockDialect([]));
  const isBad = expect.objectContaining({ reason: "PROVIDER_BAD_RESPONSE" });

  it("gives the same deltas wherever it is cut into reads", () => {
    for (let cut = 0; cut <= WHOLE.length; cut += 1) {
      const decoder = newDecoder();
      const deltas = [...decoder.feed(WHOLE.slice(0, cut)), ...decoder.feed(WHOLE.slice(cut))];
      expect(deltas).toEqual([{ kind: "text", choiceIndex: 0, text: "Grüße 👋" }]);
      expect(decoder.finish().usage).toMatchObject({ kind: "reported", usage: { tokensIn: 3 } });
    }
  });

  it("is cut if anything of its last message is missing", () => {
    for (let length = 0; length < WHOLE.length; length += 1) {
      const decoder = newDecoder();
      decoder.feed(WHOLE.slice(0, length));
      expect(() => decoder.finish(), `cut after ${length} bytes`).toThrow();
    }
  });

  it("is refused if any byte of a message is wrong", () => {
    const message = awsEvent("messageStop", { stopReason: "end_turn" });
    for (let at = 0; at < message.length; at += 1) {
      const flipped = String.fromCharCode(message.charCodeAt(at) ^ 1);
      const broken = message.slice(0, at) + flipped + message.slice(at + 1);
      expect(() => newDecoder().feed(broken), `byte ${at}`).toThrow(isBad);
    }
  });

  it("is refused if a message is longer than a megabyte, before the rest of it came", () => {
    const huge = awsFrame({ ":message-type": "event" }, "x".repeat(1024 * 1024));
    expect(() => newDecoder().feed(huge.slice(0, 12))).toThrow(isBad);
  });

  it("may carry headers of any type before those that are read", () => {
    const headers = {
      ...HEADERS_OF_EVERY_TYPE,
      ":message-type": "event",
      ":event-type": "contentBlockDelta",
    };
    const frame = awsFrame(headers, { contentBlockIndex: 0, delta: { text: "x" } });
    expect(newDecoder().feed(frame)).toEqual([{ kind: "text", choiceIndex: 0, text: "x" }]);
  });

  it("takes an error of the framing for what it says", () => {
    const error = awsFrame(
      { ":message-type": "error", ":error-code": "ThrottlingException" },
      { message: "slow" },
    );
    expect(() => newDecoder().feed(error)).toThrow(
      expect.objectContaining({ reason: "PROVIDER_RATE_LIMITED", billing: "maybe_billed" }),
    );
  });
});
