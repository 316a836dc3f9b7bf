import { createHmac } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { checkTarget, publicLookup } from './webhook-target.ts';

/** One request to a webhook, and what came of it. */
export interface WebhookRequest {
  url: string;
  /** As it was shown when the subscription was made: `whsec_` and the base64 form of its bytes. */
  secret: string;
  deliveryId: string;
  body: string;
}

export interface WebhookAttempt {
  isDelivered: boolean;
  /** 0 where there was no answer. */
  httpStatus: number;
  /** '' where it was delivered. */
  error: string;
  /** How long the target asked to be left alone. */
  retryAfterMs: number | null;
}

export interface SendingBounds {
  /** From the first byte to the end of the answer. */
  timeoutMs: number;
  /** Whether addresses of this machine and its network may be called. */
  mayBeInner: boolean;
}

const secretPrefix = 'whsec_';
/** Answers are read to their end, so that a connection ends well, but only so far. */
const mostAnswerBytes = 65_536;

/**
 * Signs as standardwebhooks.com says, so that receivers may use one of its libraries: HMAC-SHA256 over id, time and
 * body. The time keeps a request that was overheard from being sent again later.
 */
export function signDelivery(secret: string, id: string, timestamp: number, body: string): string {
  const key = secret.startsWith(secretPrefix)
    ? Buffer.from(secret.slice(secretPrefix.length), 'base64')
    : Buffer.from(secret);
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

const failed = (error: string, httpStatus = 0, retryAfterMs: number | null = null): WebhookAttempt => ({
  isDelivered: false,
  httpStatus,
  error,
  retryAfterMs,
});

/** Sends once. A redirect is a failure: where it leads to was not what somebody set up. */
export async function sendDelivery(
  { url, secret, deliveryId, body }: WebhookRequest,
  { timeoutMs, mayBeInner }: SendingBounds,
  nowMs: number,
): Promise<WebhookAttempt> {
  const wrong = checkTarget(url, mayBeInner);
  if (wrong !== '') return failed(`the address ${wrong}`);
  const timestamp = Math.floor(nowMs / 1000);
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const options = {
    method: 'POST',
    // Not kept open: targets are many, and each is called seldom.
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    ...(mayBeInner ? {} : { lookup: publicLookup }),
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'weir-webhooks',
      'webhook-id': deliveryId,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signDelivery(secret, deliveryId, timestamp, body),
    },
  };
  return await new Promise((resolve) => {
    const sent = request(url, options, (answer) => {
      let read = 0;
      const status = answer.statusCode ?? 0;
      const end = () => resolve(judge(status, answer.headers['retry-after'], nowMs));
      answer.on('data', (bytes: Buffer) => {
        read += bytes.length;
        if (read > mostAnswerBytes) answer.destroy();
      });
      answer.on('close', end);
      // What was answered counts, however the rest of it ends.
      answer.on('error', () => undefined);
    });
    sent.on('error', (error) => resolve(failed(describe(error, timeoutMs))));
    sent.end(body);
  });
}

function judge(status: number, retryAfter: string | undefined, nowMs: number): WebhookAttempt {
  if (status >= 200 && status < 300) return { isDelivered: true, httpStatus: status, error: '', retryAfterMs: null };
  if (status >= 300 && status < 400) return failed('it answered with a redirect, which is not followed', status);
  return failed(`it answered ${status}`, status, readRetryAfter(retryAfter, nowMs));
}

/** Seconds or a date. */
function readRetryAfter(text: string | undefined, nowMs: number): number | null {
  if (text === undefined) return null;
  const ms = /^\d{1,6}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}

function describe(error: Error, timeoutMs: number): string {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return `it did not answer within ${timeoutMs} ms`;
  const { code = '' } = error as NodeJS.ErrnoException;
  // Of several addresses each has failed for a reason of its own.
  const causes = (error as AggregateError).errors as Error[] | undefined;
  return (error.message || causes?.[0]?.message || code || 'the connection failed').slice(0, 300);
}
