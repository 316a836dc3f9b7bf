import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Database } from '../../clickhouse/client.ts';
import { readSettings } from '../../pipelines/process.ts';
import { databaseOptions, readRunningServers } from '../../pipelines/servers.ts';
import { type AlertRuleId, type AlertRuleSetting, alertRuleIds } from '../../schemas/alerts.ts';
import { type BackTestResult, backTestHistory, findDraftProblems, type LabelledIncident } from './back-test.ts';

const help = `npm run backtest: what a draft of a rule would have told in stored history.

  npm run backtest -- --rule RULE [options]

  --rule RULE        ${alertRuleIds.slice(0, 5).join(', ')},
                     ${alertRuleIds.slice(5, 10).join(', ')},
                     ${alertRuleIds.slice(10).join(', ')}
  --threshold T      in the unit of the rule
  --for MINUTES      how long the condition has to hold
  --days D           history that is looked at (default 7); its first fifth is learned from
  --to INSTANT       where that ends (default: now)
  --workspace W      (default: default)
  --incidents FILE   JSON lines of what is known to have happened: {"fromMs", "toMs", "workflowId", "taskId", "subjectId"}
  --json             everything, for machines
  --help             this text`;

const badUsageExitCode = 2;
const dayMs = 86_400_000;

function readOptions() {
  const { values } = parseArgs({
    options: {
      rule: { type: 'string' },
      threshold: { type: 'string' },
      for: { type: 'string' },
      days: { type: 'string', default: '7' },
      to: { type: 'string' },
      workspace: { type: 'string', default: 'default' },
      incidents: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(help);
    process.exit(0);
  }
  const { workspace, rule } = values;
  if (rule === undefined) throw new Error('--rule has to name the rule');
  const setting: AlertRuleSetting = {};
  if (values.threshold !== undefined) setting.threshold = Number(values.threshold);
  if (values.for !== undefined) setting.for_ms = Number(values.for) * 60_000;
  const draft = { workspace, ruleId: rule as AlertRuleId, setting };
  const problems = findDraftProblems(draft);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const days = Number(values.days);
  if (!(days > 0 && days <= 90)) throw new Error('--days has to be a number up to 90');
  const toMs = values.to === undefined ? Date.now() : Date.parse(values.to);
  if (Number.isNaN(toMs)) throw new Error('--to has to be an instant as ISO 8601 has it');
  return { draft, days, toMs, incidentsFile: values.incidents, json: values.json ?? false };
}

async function run(): Promise<void> {
  const { draft, days, toMs, incidentsFile, json } = readOptions();
  const incidents =
    incidentsFile === undefined
      ? []
      : readFileSync(incidentsFile, 'utf8')
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => JSON.parse(line) as LabelledIncident);
  const database = new Database(
    databaseOptions(readSettings({ ...readRunningServers(process.env.WEIR_DATA_DIR ?? '.weir'), ...process.env })),
  );
  try {
    const result = await backTestHistory(database, { fromMs: toMs - days * dayMs, toMs }, draft, incidents);
    if (json) console.log(JSON.stringify(result, null, 2));
    else for (const line of describe(result)) console.log(line);
  } finally {
    await database.close();
  }
}

function* describe(result: BackTestResult): Generator<string> {
  const share = (value: number | null) => (value === null ? 'unknown' : `${Math.round(value * 100)} %`);
  const time = (ms: number | null) => (ms === null ? 'now' : new Date(ms).toISOString().slice(0, 16));
  yield `${result.ruleId}: ${result.alerts.length} alerts in ${result.windows} windows, ${result.pagesPerWeek.toFixed(1)} a week`;
  yield `precision ${share(result.precision)}, recall ${share(result.recall)}`;
  if (result.suggestedThreshold !== null) yield `suggested threshold: ${result.suggestedThreshold}`;
  for (const { firedAtMs, resolvedAtMs, title, isRight } of result.alerts) {
    const mark = isRight === null ? '' : isRight ? '  right' : '  false';
    yield `  ${time(firedAtMs)} to ${time(resolvedAtMs)}  ${title}${mark}`;
  }
}

try {
  await run();
} catch (error) {
  console.error(`${(error as Error).message}\n\n${help}`);
  process.exit(badUsageExitCode);
}
