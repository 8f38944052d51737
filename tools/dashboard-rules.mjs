// Writes the queries of a Grafana dashboard as Prometheus rules, for promtool to check: node tools/dashboard-rules.mjs FILE
import { readFileSync } from 'node:fs';

const { panels } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const queries = panels.flatMap((panel) => panel.targets.map((target) => target.expr));
const rules = queries.map((query, i) => ({
  record: `dashboard:query:${i + 1}`,
  expr: query.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'clientapps'),
}));
if (rules.length === 0) throw new Error('the dashboard has no queries');
console.log(JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
