import { type Metric, type OpenMetricsContentType, type PrometheusContentType, Registry } from "prom-client";

export interface MetricsText {
  readonly contentType: string;
  readonly body: string;
}

/** Renders a registry as plain text or, with exemplars, as OpenMetrics: whichever the scraper likes better. */
export function createMetricsRenderer(
  registry: Registry<OpenMetricsContentType>,
): (accept: string | undefined) => Promise<MetricsText> {
  const openMetrics = createView(registry, Registry.OPENMETRICS_CONTENT_TYPE);
  const plainText = createView(registry, Registry.PROMETHEUS_CONTENT_TYPE);
  return async (accept) => {
    const view = prefersOpenMetrics(accept) ? openMetrics : plainText;
    return { contentType: view.contentType, body: await view.metrics() };
  };
}

/**
 * prom-client takes `_total` off the counters' names for good when it renders OpenMetrics, so that the next plain
 * scrape would be wrong. A view holds objects that inherit everything from the metrics, values included: what is
 * done to the names of one view is not done to the other.
 */
function createView<T extends PrometheusContentType | OpenMetricsContentType>(
  registry: Registry<OpenMetricsContentType>,
  contentType: T,
): Registry<T> {
  const view = new Registry<T>();
  view.setContentType(contentType);
  for (const metric of registry.getMetricsAsArray()) {
    const inheriting: Metric = Object.create(registry.getSingleMetric(metric.name) ?? null);
    view.registerMetric(inheriting);
  }
  return view;
}

function prefersOpenMetrics(accept: string | undefined): boolean {
  const openMetrics = qualityOf(accept, "application/openmetrics-text");
  return openMetrics > 0 && openMetrics >= qualityOf(accept, "text/plain");
}

/** The highest quality that an `Accept` header gives to a media type named in full; 0 when it does not. */
function qualityOf(accept: string | undefined, mediaType: string): number {
  let best = 0;
  for (const range of (accept ?? "").toLowerCase().split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
    if (type !== mediaType) continue;
    const quality = parameters.find((parameter) => parameter.startsWith("q="));
    best = Math.max(best, quality === undefined ? 1 : Number.parseFloat(quality.slice(2)) || 0);
  }
  return best;
}
