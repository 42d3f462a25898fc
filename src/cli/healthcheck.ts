import { get, type IncomingMessage } from 'node:http';
import { get as getByTls } from 'node:https';
import { systemClock } from '../async/clock.ts';
import { Deadline } from '../async/deadline.ts';
import { loadConfig } from '../config/load.ts';
import type { ListenAddress } from '../config/schema.ts';
import type { Settings } from '../config/settings.ts';
import { readWords } from './usage.ts';

/** Less than what container engines and Kubernetes give a check, in milliseconds. */
const patience = 4000;
/** So much of the answer is read. */
const reasonBytes = 1000;

/**
 * `weir healthcheck`: asks the mirror that runs here with this configuration whether it can serve. For container images
 * without a shell. @throws ConfigError, UsageError; Error with the reason why it cannot
 */
export async function healthcheck(words: readonly string[]): Promise<number> {
  const { values } = readWords({ options: { config: { type: 'string' } } }, words);
  const settings = loadConfig({ file: values.config });
  const deadline = new Deadline(systemClock, () => new Error('the mirror does not answer'));
  deadline.set(patience);
  try {
    await demandReady(settings, deadline.signal);
    return 0;
  } catch (error) {
    deadline.signal.throwIfAborted();
    throw error;
  } finally {
    deadline.clear();
  }
}

async function demandReady({ listen: [first], tls }: Settings, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  // The certificate is for the name that nodes know, and nothing secret is said.
  const options = { ...reachable(first), path: '/readyz', agent: false, signal, rejectUnauthorized: false };
  (tls ? getByTls : get)(options, resolve).once('error', reject);
  const response = await promise;
  let reason = '';
  for await (const text of response.setEncoding('utf8')) reason = `${reason}${text}`.slice(0, reasonBytes);
  if (response.statusCode !== 200) throw new Error(`the mirror is not ready: ${response.statusCode} ${reason.trim()}`);
}

/** Where a mirror is found that listens here. */
function reachable(address: ListenAddress | undefined): { host?: string; port?: number } {
  const loopback = { '0.0.0.0': '127.0.0.1', '::': '::1' }[address?.host ?? ''];
  return { ...address, ...(loopback ? { host: loopback } : {}) };
}
