/**
 * Runs one check for many cases at the same time, since most of them only wait. All are run to their end; the
 * failures are told together, each with its case.
 */
export async function inParallel<Case, Result>(
  cases: readonly Case[],
  check: (one: Case) => Promise<Result>,
): Promise<readonly Result[]> {
  const results = await Promise.allSettled(cases.map(check));
  const failures = results.flatMap((result, index) =>
    result.status === "rejected" ? [`${JSON.stringify(cases[index])}: ${messageOf(result.reason)}`] : [],
  );
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${cases.length} cases failed:\n${failures.join("\n")}`);
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

const messageOf = (error: unknown) =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

/** Runs work for many cases, at most so many at once; results are in the order of the cases. The first failure fails all. */
export async function inBatches<Case, Result>(
  atOnce: number,
  cases: readonly Case[],
  work: (one: Case) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < cases.length; index = next++)
      results[index] = await work(cases[index] as Case);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, cases.length) }, worker));
  return results;
}

/** Every pair of the two lists. */
export function pairs<A, B>(first: readonly A[], second: readonly B[]): readonly (readonly [A, B])[] {
  return first.flatMap((a) => second.map((b) => [a, b] as const));
}
