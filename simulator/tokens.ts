/**
 * What the simulator calls a token. Input is counted as `ceil(UTF-8 bytes / 4)`. Made-up output consists of words
 * of exactly four ASCII bytes each, so for it `bytes / 4 == tokens`: an estimate by bytes is exact.
 */
const BYTES_PER_TOKEN = 4;

const WORDS_IN_A_CYCLE = 1296;

function makeWords(initial: string): readonly string[] {
  return Array.from(
    { length: WORDS_IN_A_CYCLE },
    (_, index) => `${initial}${index.toString(36).padStart(2, "0")} `,
  );
}

/** `"w00 "` to `"wzz "`: numbered, so that a lost, doubled or reordered token shows. */
const TEXT_WORDS = makeWords("w");
/** `"r00 "` to `"rzz "`, for visible reasoning. */
const REASONING_WORDS = makeWords("r");

function takeWords(words: readonly string[], count: number): readonly string[] {
  if (count <= words.length) return words.slice(0, count);
  return Array.from({ length: count }, (_, index) => words[index % words.length] ?? "");
}

/** `count` tokens of text; after 1,296 they repeat. */
export function textTokens(count: number): readonly string[] {
  return takeWords(TEXT_WORDS, count);
}

/** `count` tokens of reasoning; after 1,296 they repeat. */
export function reasoningTokens(count: number): readonly string[] {
  return takeWords(REASONING_WORDS, count);
}

/** Tokens of so many bytes, at least 1. */
export function tokensOfBytes(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / BYTES_PER_TOKEN));
}

/** Tokens of a text, at least 1. */
export function countTokens(text: string): number {
  return tokensOfBytes(Buffer.byteLength(text));
}

/**
 * Cuts a text into `count` pieces of nearly equal length, never inside a character. A text of fewer characters
 * than `count` gives one piece per character.
 */
export function splitIntoTokens(text: string, count: number): readonly string[] {
  const characters = Array.from(text);
  const pieces = Math.min(count, characters.length);
  return Array.from({ length: pieces }, (_, index) => {
    const start = Math.floor((index * characters.length) / pieces);
    const end = Math.floor(((index + 1) * characters.length) / pieces);
    return characters.slice(start, end).join("");
  });
}
