import { describe, expect, test } from 'vitest';
import { Screen } from '../../../deploy/local/screen.ts';
import { parsePipelineStatus, renderStatus } from '../../../deploy/local/status-line.ts';

const exposition = `# HELP weir_records_total records
# TYPE weir_records_total counter
weir_records_total{topic="telemetry.executions",outcome="stored"} 1000
weir_records_total{topic="telemetry.tasks",outcome="stored"} 234567
weir_records_total{topic="telemetry.tasks",outcome="dead_letter"} 3
weir_records_total{topic="telemetry.tasks",outcome="duplicate"} 30
weir_true_lag_records{topic="telemetry.tasks",partition="0"} 12
weir_true_lag_records{topic="telemetry.tasks",partition="1"} 5
weir_freshness_seconds 0.84
`;

describe('the status line', () => {
  test('sums the metrics over topics and partitions', () => {
    const status = parsePipelineStatus(exposition);
    const before = { ...status, records: status.records - 100 };
    expect(renderStatus(status, before, 2_000)).toBe(
      'in 50/s · stored 235 567 · true lag 17 · dead letters 3 · fresh 0.8 s',
    );
  });

  test('shows no negative rate after the pipelines were started again', () => {
    const status = { ...parsePipelineStatus(exposition), records: 10 };
    expect(renderStatus(status, { ...status, records: 5_000 }, 1_000)).toContain('in 10/s');
  });

  test('says so when nothing was measured yet', () => {
    expect(renderStatus(parsePipelineStatus('weir_freshness_seconds NaN'), undefined, 1_000)).toContain(
      'no events yet',
    );
  });
});

describe('the screen', () => {
  function capture(isTTY: boolean) {
    const written: string[] = [];
    const screen = new Screen({ isTTY, columns: 30, write: (text) => written.push(text) });
    return { screen, written };
  }

  test('redraws the live line on a terminal, cut to its width and below what is said', () => {
    const { screen, written } = capture(true);
    screen.showStatus('in 50/s · stored 235 567 · true lag 17');
    screen.say('ready');
    expect(written).toEqual([
      '\r\x1b[2Kin 50/s · stored 235 567 · tr',
      '\r\x1b[2Kready\nin 50/s · stored 235 567 · tr',
    ]);
  });

  test('writes plain lines when piped, and not more than one in ten seconds', () => {
    const { screen, written } = capture(false);
    screen.showStatus('in 50/s');
    screen.showStatus('in 51/s');
    screen.say('ready');
    expect(written).toEqual(['in 50/s\n', 'ready\n']);
  });
});
