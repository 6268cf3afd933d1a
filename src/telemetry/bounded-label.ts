/**
 * Keeps a label's values few: the first `maxValues` distinct ones stand for themselves, later ones become `other`.
 * A label with an unbounded number of values makes every scrape and every query slower for ever.
 */
export function createBoundedLabel(maxValues: number): (value: string) => string {
  const values = new Set<string>();
  return (value) => {
    if (values.has(value)) return value;
    if (values.size >= maxValues) return "other";
    values.add(value);
    return value;
  };
}
