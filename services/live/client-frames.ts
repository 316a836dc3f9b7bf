import { Value } from 'typebox/value';
import { clientFrames, type LiveErrorCode } from '../../schemas/live.ts';
import { type LiveTopic, parseTopic } from './live-topic.ts';

/** What a client asks for, or what is wrong with its frame. */
export type ClientFrame =
  | { action: 'subscribe'; topic: LiveTopic; source: string; wantsSnapshot: boolean }
  | { action: 'unsubscribe'; topic: LiveTopic; source: string }
  | { action: 'ping' }
  | { action: 'none'; code: LiveErrorCode; message: string; topic?: string };

const refuse = (code: LiveErrorCode, message: string, topic?: string): ClientFrame => ({
  action: 'none',
  code,
  message,
  ...(topic === undefined ? {} : { topic }),
});

interface Members {
  action: string;
  topic: string;
  source?: string;
  snapshot?: boolean;
}

/** Null stands for a frame that is no text. */
export function readFrame(text: string | null): ClientFrame {
  if (text === null) return refuse('invalid_frame', 'The frame is binary.');
  const value = parseJson(text);
  if (value === undefined) return refuse('invalid_json', 'The frame is no JSON.');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('invalid_frame', 'The frame is no JSON object.');
  }
  const { action } = value as { action?: unknown };
  if (action === undefined) return refuse('invalid_frame', 'action is missing.');
  if (typeof action !== 'string' || !Object.hasOwn(clientFrames, action)) {
    return refuse('invalid_frame', `action must be one of ${Object.keys(clientFrames).join(', ')}.`);
  }
  const [problem] = Value.Errors(clientFrames[action as keyof typeof clientFrames], value);
  if (problem !== undefined) return refuse('invalid_frame', `${describeProblem(problem)}.`);
  return action === 'ping' ? { action } : readTopicFrame(value as Members);
}

function readTopicFrame({ action, topic: text, source = '', snapshot = true }: Members): ClientFrame {
  const topic = parseTopic(text);
  if (topic === null) return refuse('unknown_topic', `There is no topic ${JSON.stringify(text)}.`, text);
  if (action === 'unsubscribe') return { action, topic, source };
  return { action: 'subscribe', topic, source, wantsSnapshot: snapshot };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

interface Problem {
  keyword: string;
  instancePath: string;
  params: object;
  message: string;
}

function describeProblem({ keyword, instancePath, params, message }: Problem): string {
  const { additionalProperties, requiredProperties } = params as Record<string, string[] | undefined>;
  if (keyword === 'additionalProperties') return `${additionalProperties?.[0]} is unknown`;
  // Of a member that the schema does not have, some versions say that nothing may stand there.
  if (keyword === 'boolean') return `${instancePath.slice(1)} is unknown`;
  if (keyword === 'required') return `${requiredProperties?.[0]} is missing`;
  return `${instancePath.slice(1)} ${message}`;
}
