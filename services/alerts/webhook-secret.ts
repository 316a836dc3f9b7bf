import { randomBytes } from 'node:crypto';
import { openText, sealText } from './sealed-text.ts';

/** What of a subscription is nobody's business: where exactly it leads, and what its requests are signed with. */
export interface WebhookAddress {
  url: string;
  secret: string;
}

interface WebhookName {
  workspace: string;
  id: string;
}

/** As libraries for this kind of signature take it. */
export const makeWebhookSecret = (): string => `whsec_${randomBytes(24).toString('base64')}`;

const contextOf = ({ workspace, id }: WebhookName): string => JSON.stringify(['webhook', workspace, id]);

export function sealWebhook(key: string, name: WebhookName, { url, secret }: WebhookAddress): string {
  return sealText(key, contextOf(name), JSON.stringify({ url, secret }));
}

/** Null where it was closed with another key or belongs to another subscription. */
export function openWebhook(key: string, name: WebhookName, sealed: string): WebhookAddress | null {
  const text = openText(key, contextOf(name), sealed);
  return text === null ? null : (JSON.parse(text) as WebhookAddress);
}
