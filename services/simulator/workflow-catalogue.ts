import aggregateSensors from './definitions/aggregate_sensors.json' with { type: 'json' };
import approveExpense from './definitions/approve_expense.json' with { type: 'json' };
import basicSequence from './definitions/basic_sequence.json' with { type: 'json' };
import ciBuild from './definitions/ci_build.json' with { type: 'json' };
import conditionalWorkflow from './definitions/conditional_workflow.json' with { type: 'json' };
import countWords from './definitions/count_words.json' with { type: 'json' };
import dataPipeline from './definitions/data_pipeline.json' with { type: 'json' };
import dataQuality from './definitions/data_quality.json' with { type: 'json' };
import encodeVideo from './definitions/encode_video.json' with { type: 'json' };
import moderateContent from './definitions/moderate_content.json' with { type: 'json' };
import monthlyBilling from './definitions/monthly_billing.json' with { type: 'json' };
import nightlyClose from './definitions/nightly_close.json' with { type: 'json' };
import orderSaga from './definitions/order_saga.json' with { type: 'json' };
import ordersEtl from './definitions/orders_etl.json' with { type: 'json' };
import parallelProcessing from './definitions/parallel_processing.json' with { type: 'json' };
import quoteInsurance from './definitions/quote_insurance.json' with { type: 'json' };
import trainRanker from './definitions/train_ranker.json' with { type: 'json' };
import { checkWorkflow, formatWorkflowProblems } from './workflow-check.ts';
import type { WorkflowDefinition } from './workflow-model.ts';

/** The workflows that come with the simulator. A wrong one is refused as soon as this file is loaded. */
function readDefinition(value: unknown): WorkflowDefinition {
  const checked = checkWorkflow(value);
  if ('definition' in checked) return checked.definition;
  throw new Error(formatWorkflowProblems(checked.problems));
}

/** The four that every workspace may be given to begin with. */
export const exampleWorkflows: readonly WorkflowDefinition[] = [
  basicSequence,
  parallelProcessing,
  conditionalWorkflow,
  dataPipeline,
].map(readDefinition);

/** Those that the demo runs: the examples, and what teams of several trades would run. */
export const allWorkflows: readonly WorkflowDefinition[] = [
  ...exampleWorkflows,
  ...[
    ordersEtl,
    trainRanker,
    orderSaga,
    countWords,
    nightlyClose,
    ciBuild,
    encodeVideo,
    moderateContent,
    monthlyBilling,
    dataQuality,
    quoteInsurance,
    approveExpense,
    aggregateSensors,
  ].map(readDefinition),
];
