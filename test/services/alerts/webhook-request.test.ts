import { describe, expect, it } from 'vitest';
import { openText, sealText } from '../../../services/alerts/sealed-text.ts';
import { sendDelivery, signDelivery } from '../../../services/alerts/webhook-request.ts';
import { makeWebhookSecret } from '../../../services/alerts/webhook-secret.ts';
import { checkTarget, isInnerAddress } from '../../../services/alerts/webhook-target.ts';
import { isSigned, Receiver } from './receiver.ts';

const bounds = { timeoutMs: 10_000, mayBeInner: true };
const secret = makeWebhookSecret();
const send = (url: string, given: Partial<typeof bounds> = {}) =>
  sendDelivery({ url, secret, deliveryId: 'id-1', body: '{"a":1}' }, { ...bounds, ...given }, Date.now());

describe('a request to a webhook', () => {
  it('is signed over its id, its time and its body', async () => {
    const receiver = await Receiver.open();
    expect(await send(`${receiver.url}/hook?a=b`)).toMatchObject({ isDelivered: true, httpStatus: 200, error: '' });
    const [received] = receiver.received;
    expect(received.path).toBe('/hook?a=b');
    expect(received.headers['webhook-id']).toBe('id-1');
    expect(isSigned(received, secret)).toBe(true);
    expect(isSigned({ ...received, text: '{"a":2}' }, secret)).toBe(false);
  });

  it('has the signature of the published example', () => {
    // From the test of the Standard Webhooks libraries.
    const signature = signDelivery(
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1614265330,
      '{"test": 2432232314}',
    );
    expect(signature).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });

  it('fails in words of what happened', async () => {
    const receiver = await Receiver.open();
    receiver.answer = (response) => response.writeHead(503, { 'retry-after': '7' }).end();
    expect(await send(receiver.url)).toEqual({
      isDelivered: false,
      httpStatus: 503,
      error: 'it answered 503',
      retryAfterMs: 7000,
    });
    receiver.answer = (response) => response.writeHead(302, { location: `${receiver.url}/elsewhere` }).end();
    expect(await send(receiver.url)).toMatchObject({
      isDelivered: false,
      httpStatus: 302,
      error: expect.stringContaining('redirect'),
    });
    expect(receiver.received.map(({ path }) => path)).toEqual(['/', '/']);
    receiver.answer = () => undefined;
    expect(await send(receiver.url, { timeoutMs: 100 })).toMatchObject({
      httpStatus: 0,
      error: 'it did not answer within 100 ms',
    });
    const { url } = receiver;
    await receiver.close();
    expect(await send(url)).toMatchObject({
      isDelivered: false,
      httpStatus: 0,
      error: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('does not go to an address of the inside unless that is allowed, by whatever name it is called', async () => {
    const receiver = await Receiver.open();
    const { port } = new URL(receiver.url);
    for (const host of [
      '127.0.0.1',
      'localhost',
      '[::ffff:127.0.0.1]',
      '2130706433',
      '0x7f.1',
      '127.1',
      '0.0.0.0',
      'sub.localhost',
    ]) {
      const attempt = await send(`http://${host}:${port}/`, { mayBeInner: false });
      expect(attempt, host).toMatchObject({
        isDelivered: false,
        error: expect.stringContaining('private or loopback'),
      });
    }
    expect(receiver.received).toHaveLength(0);
    expect((await send(`http://localhost:${port}/`)).isDelivered).toBe(true);
  });

  it('looks at what a name resolves to, when it connects', async () => {
    const receiver = await Receiver.open();
    const { port } = new URL(receiver.url);
    const { hostname } = await import('node:os').then((os) => ({ hostname: os.hostname() }));
    // The name of this machine is one that says nothing of where it leads, as a name in a public zone might.
    const attempt = await send(`http://${hostname}:${port}/`, { mayBeInner: false });
    expect(attempt).toMatchObject({ isDelivered: false, error: expect.stringContaining('private or loopback') });
    expect(receiver.received).toHaveLength(0);
  });
});

describe('addresses', () => {
  it.each([
    '127.0.0.1',
    '127.8.8.8',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    '::ffff:10.0.0.1',
    '::ffff:a00:1',
    'fd00::1',
    'fe80::1',
    'ff02::1',
    '64:ff9b::a00:1',
    '2002:a00:1::',
  ])('of the inside: %s', (address) => {
    expect(isInnerAddress(address)).toBe(true);
  });

  it.each([
    '1.1.1.1',
    '172.32.0.1',
    '172.15.0.1',
    '100.63.0.1',
    '192.169.0.1',
    '2606:4700:4700::1111',
    '::ffff:1.1.1.1',
  ])('of the outside: %s', (address) => {
    expect(isInnerAddress(address)).toBe(false);
  });

  it.each([
    ['ftp://example.com/', 'must begin with https'],
    ['example.com', 'is no address'],
    ['https://user:secret@example.com/', 'holds a user or a password'],
    ['http://10.0.0.1/', 'WEIR_WEBHOOK_PRIVATE_TARGETS'],
    ['http://[::1]/', 'private or loopback'],
  ])('that cannot be subscribed: %s', (url, words) => {
    expect(checkTarget(url, false)).toContain(words);
  });

  it('that can be subscribed', () => {
    expect(checkTarget('https://hooks.example.com/T1/B2?x=y', false)).toBe('');
    expect(checkTarget('http://10.0.0.1/', true)).toBe('');
  });
});

describe('a sealed text', () => {
  it('is opened by the key and in the place it was made for, and by nothing else', () => {
    const sealed = sealText('key', 'place', 'Straße');
    expect(sealed).not.toContain('Stra');
    expect(openText('key', 'place', sealed)).toBe('Straße');
    expect(openText('other', 'place', sealed)).toBeNull();
    expect(openText('key', 'elsewhere', sealed)).toBeNull();
    expect(openText('key', 'place', `${sealed.slice(0, -2)}${sealed.endsWith('AA') ? 'BB' : 'AA'}`)).toBeNull();
    expect(openText('key', 'place', 'v1.')).toBeNull();
    expect(sealText('key', 'place', 'Straße')).not.toBe(sealed);
  });
});
