/** The metrics of a gateway at one instant. */
export interface Scrape {
  readonly text: string;
  /** The sum over all series of a metric that carry these labels; 0 when there is none. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
  /** Every series of every metric. */
  series(): readonly Series[];
}

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** After the name and the labels, before an exemplar or a time. */
const VALUE = /^[^{ ]+(?:\{.*?\})? (\S+)/;

export async function scrape(url: string): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`);
  if (!response.ok) throw new Error(`GET /metrics: ${response.status}`);
  const text = await response.text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return {
    text,
    sum(name, labels = {}) {
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
      return lines
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => wanted.every((label) => line.includes(label)))
        .reduce((total, line) => total + Number(VALUE.exec(line)?.[1]), 0);
    },
    series: () => lines.map(toSeries),
  };
}

function toSeries(line: string): Series {
  const name = /^[^{ ]+/.exec(line)?.[0] ?? "";
  const labels = line.startsWith("{", name.length) ? line.slice(name.length, line.indexOf("} ") + 1) : "";
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = "", value = ""]) => [
    label,
    value,
  ]);
  return { name, labels: Object.fromEntries(pairs), value: Number(VALUE.exec(line)?.[1]) };
}
