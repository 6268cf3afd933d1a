const MAX_MESSAGE_CHARACTERS = 300;
const MAX_STACK_FRAMES = 8;
const REDACTED = "[redacted]";

/** Keys of providers and of our own, bearer tokens, and credentials in URLs and query strings. */
const SECRET_PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\b(?:sk|pk|rk|hf|gw_live|gsk|xai|key)[-_][A-Za-z0-9_-]{6,}/g, REDACTED],
  [/\bAIza[A-Za-z0-9_-]{20,}/g, REDACTED],
  [/\b(Bearer|Basic)\s+[^\s"',;]+/gi, `$1 ${REDACTED}`],
  [/\/\/[^/\s@]*:[^/\s@]*@/g, `//${REDACTED}@`],
  [
    /\b(authorization|x-api-key|api[-_]?key|token|secret|password|pepper)(["']?\s*[:=]\s*)(?:Bearer\s+)?\S+/gi,
    `$1$2${REDACTED}`,
  ],
];

/** Whatever stands in quotes may have come from a prompt, an answer or a row. */
const QUOTED_PATTERN = /"[^"]*"|'[^']*'|`[^`]*`/g;

/** What a log may say about an error that was never meant for the log. */
export interface ErrorDescription {
  /** The error's class, with its system code if it has one: `Error ECONNREFUSED`; empty for a mere text. */
  readonly class: string;
  readonly message: string;
  /** Where it was thrown: places in the code only. */
  readonly stack: readonly string[];
}

export interface Redactor {
  /** Removes secrets from a text. */
  redact(text: string): string;
  describe(error: unknown): ErrorDescription;
  /** More exact values that must never be written. */
  learn(secrets: readonly string[]): void;
}

/**
 * Errors from libraries quote what they choked on, so that their messages are cut down: known secrets and anything
 * that looks like one, everything in quotes, and what is longer than 300 characters. A SyntaxError of `JSON.parse`
 * quotes its input without balanced quotes: nothing of its message is kept.
 * @param secrets exact values that must never be written, such as the configured provider keys
 */
export function createRedactor(secrets: readonly string[] = []): Redactor {
  let known: readonly string[] = [];
  const learn = (more: readonly string[]): void => {
    // Shorter ones would blank out ordinary words.
    const long = more.filter((secret) => secret.length >= 6);
    known = [...new Set([...known, ...long])].sort((a, b) => b.length - a.length);
  };
  learn(secrets);

  function redact(text: string): string {
    let redacted = text;
    for (const secret of known) redacted = redacted.replaceAll(secret, REDACTED);
    for (const [pattern, replacement] of SECRET_PATTERNS) redacted = redacted.replace(pattern, replacement);
    return redacted;
  }

  /** Shortened first, so that a huge message costs nothing. */
  function cut(message: string): string {
    const redacted = redact(message.slice(0, 4 * MAX_MESSAGE_CHARACTERS)).replace(QUOTED_PATTERN, '"…"');
    return redacted.slice(0, MAX_MESSAGE_CHARACTERS);
  }

  return {
    redact,
    learn,
    describe(error) {
      if (typeof error === "string") return { class: "", message: cut(error), stack: [] };
      if (!(error instanceof Error)) return { class: typeof error, message: "", stack: [] };
      const code = "code" in error && typeof error.code === "string" ? ` ${error.code}` : "";
      return {
        class: redact(`${error.name}${code}`).slice(0, 100),
        message: error instanceof SyntaxError ? "" : cut(error.message),
        stack: framesOf(error),
      };
    },
  };
}

/** The head of a stack repeats the message: only its frames are taken. */
function framesOf(error: Error): readonly string[] {
  const lines = (error.stack ?? "").split("\n").filter((line) => /^\s+at .*\d+:\d+\)?$/.test(line));
  return lines.slice(0, MAX_STACK_FRAMES).map((line) => line.trim().slice(0, 200));
}
