/** The most characters of a provider's text that go into an error. */
export const MAX_PROVIDER_TEXT_LENGTH = 300;

/** Text is cut to this before anything else is done with it, so that a huge body costs nothing. */
export const MAX_INSPECTED_LENGTH = 4_096;

/** Shorter secrets are not searched for: they would be found in ordinary words. */
const MIN_SECRET_LENGTH = 8;

/** Keys of the usual shapes, also when the provider has masked a part of them with stars. */
const SECRET_PATTERN =
  /\b(?:sk|rk|xai)-[\w*.-]{6,}|\b(?:hf|gw|gsk|fw)_[\w*]{6,}|\bAIza[\w*-]{6,}|\b(?:AKIA|ASIA)[A-Z0-9*]{6,}|\b[Bb]earer\s+\S+|\beyJ[\w.-]{10,}/g;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes.
const CONTROL_PATTERN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\s]+/g;

/**
 * A provider's text made fit for an error: on one line, at most 300 characters, without anything that looks like a
 * key, and without the secrets given.
 */
export function toSafeText(text: string, secrets: readonly string[] = []): string {
  let safe = text.slice(0, MAX_INSPECTED_LENGTH);
  for (const secret of secrets) {
    if (secret.length >= MIN_SECRET_LENGTH) safe = safe.replaceAll(secret, "[redacted]");
  }
  safe = safe.replace(SECRET_PATTERN, "[redacted]").replace(CONTROL_PATTERN, " ").trim().toWellFormed();
  return safe.length <= MAX_PROVIDER_TEXT_LENGTH ? safe : `${safe.slice(0, MAX_PROVIDER_TEXT_LENGTH - 1)}…`;
}
