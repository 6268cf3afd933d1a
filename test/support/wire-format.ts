import type { FinishReason } from "../../src/core/completion.ts";

/** How a dialect looks on the wire: what the suites of providers need to answer in it. */
export interface WireFormat {
  /** Path below the base URL. */
  path(model: string, stream: boolean): string;
  /** The body that asks for an answer to one user message, `Hello`. */
  helloBody(model: string): unknown;
  /** What the body of a stream has besides, at least. */
  readonly streamBody: object;
  readonly finishReasons: Readonly<Record<FinishReason, string>>;
  /** One choice of a unary answer. */
  choice(text: string, finishReason: string | null, index?: number): unknown;
  /** A unary answer; without choices when there are none. */
  answer(choices: readonly unknown[], usage?: unknown): unknown;
  /** Bodies that are no whole answers, by what is wrong with them. */
  readonly badAnswers: Readonly<Record<string, unknown>>;
  usage(tokensIn: unknown, tokensOut: unknown): unknown;
  /** Usage with more tokens read from the cache than there was input; undefined where that cannot be said. */
  readonly tooManyCachedTokens: unknown;
  readonly severalChoices: boolean;
  /** Answers are relayed: that a reason to end is unknown is their reader's business. Default false. */
  readonly anyFinishReason?: boolean;

  /** The longest line that is read, in bytes; default 1 MiB. */
  readonly maxLineBytes?: number;

  /** How the texts below go over the wire; `latin1` where they stand for bytes. */
  readonly encoding: "utf8" | "latin1";
  /** What every stream begins with. */
  readonly begin: string;
  text(text: string, index?: number): string;
  /** An event that brings nothing. */
  readonly empty: string;
  finish(finishReason: string, index?: number): string;
  /** The final usage; comes after the finish reason. */
  usageEvent(tokensIn: unknown, tokensOut: unknown): string;
  /** What keeps a stream alive and is no event; empty where there is no such thing. */
  readonly keepAlive: string;
  /** An event whose data is no JSON. */
  readonly garbage: string;
  /** An event that breaks off. */
  readonly halfEvent: string;
  /** The terminal event; empty when the end of the response is all there is. */
  readonly end: string;
  /** The event of the usage is the terminal event. */
  readonly usageEnds: boolean;
  /** Whether finish reason and usage make a stream whole that ends without the terminal event. */
  readonly endsWithoutTerminal: boolean;

  /** An error body with status 200 that says that the account is out of money; undefined where there is none. */
  readonly quotaError: unknown;
  /** An event that says that the rate limit was hit. */
  readonly rateLimitEvent: string;
}
