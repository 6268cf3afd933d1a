import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { ERROR_TABLE } from "../../../src/core/error-table.ts";
import { createMetrics, NO_LEDGER } from "../../../src/telemetry/metrics.ts";
import { hasPromtool, promtool } from "../../support/promtool.ts";

const ALERTS = "deploy/prometheus/alerts.yml";
const DASHBOARD = "deploy/grafana/llm-gateway.json";

const Alerts = z.object({
  groups: z.array(
    z.object({
      name: z.string(),
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          labels: z.object({ severity: z.enum(["warning", "critical"]) }),
          annotations: z.object({ summary: z.string() }),
        }),
      ),
    }),
  ),
});

const Dashboard = z.object({
  uid: z.string(),
  title: z.string(),
  templating: z.object({ list: z.array(z.object({ name: z.string(), definition: z.string().optional() })) }),
  panels: z.array(
    z.object({
      id: z.number(),
      type: z.string(),
      title: z.string(),
      targets: z.array(z.object({ expr: z.string() })).default([]),
    }),
  ),
});

const rules = Alerts.parse(parse(readFileSync(ALERTS, "utf8"))).groups.flatMap((group) => group.rules);
const dashboard = Dashboard.parse(JSON.parse(readFileSync(DASHBOARD, "utf8")));
const queries = [
  ...rules.map(({ expr }) => expr),
  ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ...dashboard.templating.list.flatMap(({ definition }) => definition ?? []),
];

/** Every sample name of the registry, with its labels. */
function exposed(): ReadonlyMap<string, ReadonlySet<string>> {
  const { registry } = createMetrics({
    version: "1",
    inFlight: () => 0,
    drains: () => 0,
    ledger: () => NO_LEDGER,
  });
  const names = new Map<string, ReadonlySet<string>>([["up", new Set(["job", "instance"])]]);
  for (const metric of registry.getMetricsAsArray()) {
    const own =
      "labelNames" in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [];
    const labels = new Set([...own, "job", "instance"]);
    if (String(metric.type) !== "histogram") names.set(metric.name, labels);
    else {
      names.set(`${metric.name}_bucket`, new Set([...labels, "le"]));
      for (const part of ["sum", "count"]) names.set(`${metric.name}_${part}`, labels);
    }
  }
  return names;
}

/** The metrics of a query with the labels that select from each. */
function selectors(query: string): { readonly metric: string; readonly labels: readonly string[] }[] {
  const found = query.matchAll(/\b((?:llm_gateway|process|nodejs)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?/g);
  return [...found].map(([, metric = "", selector = ""]) => ({
    metric,
    labels: [...selector.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label),
  }));
}

describe("the alert rules and the dashboard", () => {
  it("ask only for metrics and labels that exist", () => {
    const names = exposed();
    const asked = queries.flatMap(selectors);
    expect(asked.length).toBeGreaterThan(40);
    for (const { metric, labels } of asked) {
      expect([...names.keys()]).toContain(metric);
      for (const label of labels) expect([...(names.get(metric) ?? [])], metric).toContain(label);
    }
  });

  it("group only by labels of the metrics they ask for", () => {
    const names = exposed();
    for (const query of queries) {
      const labels = new Set(selectors(query).flatMap(({ metric }) => [...(names.get(metric) ?? [])]));
      for (const [, grouping = ""] of query.matchAll(/\bby \(([^)]*)\)/g)) {
        for (const label of grouping.split(",").map((name) => name.trim()))
          expect([...labels], query).toContain(label);
      }
    }
  });

  it("ask for a metric in every query", () => {
    for (const query of queries) expect(selectors(query), query).not.toEqual([]);
  });

  it("select only error types that exist", () => {
    const known = new Set<string>(Object.values(ERROR_TABLE).map(({ errorType }) => errorType));
    const selected = queries.flatMap((query) =>
      [...query.matchAll(/error_type=~?"([^"]*)"/g)].flatMap(([, types = ""]) => types.split("|")),
    );
    expect(selected.length).toBeGreaterThan(0);
    for (const type of selected) expect(known).toContain(type);
  });

  it("name each alert and number each panel once", () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });

  it("satisfy promtool, and the alerts fire when they should", (context) => {
    context.skip(!hasPromtool(), "promtool is not installed");
    promtool(["check", "rules", ALERTS]);
    promtool(["check", "config", "deploy/prometheus/prometheus.yml"]);
    promtool(["test", "rules", "deploy/prometheus/alerts.test.yml"]);
  });
});
