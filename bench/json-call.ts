/**
 * One HTTP call that answers a JSON object; a POST when there is a body.
 * @throws Error on any other answer
 */
export async function readObject(
  url: string,
  options: { readonly apiKey?: string; readonly body?: unknown } = {},
): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(url, {
    method: options.body === undefined ? "GET" : "POST",
    headers: {
      "content-type": "application/json",
      ...(options.apiKey !== undefined && { authorization: `Bearer ${options.apiKey}` }),
    },
    body: options.body === undefined ? null : JSON.stringify(options.body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}: ${text.slice(0, 500)}`);
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${url}: not an object`);
  return { ...value };
}
