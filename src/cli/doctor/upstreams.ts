import type { Clock } from '../../async/clock.ts';
import type { Settings, UpstreamSettings } from '../../config/settings.ts';
import type { Log } from '../../metrics/log.ts';
import { Metrics } from '../../metrics/metrics.ts';
import { isDefinite, UpstreamError, type UpstreamFailure } from '../../upstream/errors.ts';
import { Registry } from '../../upstream/registry.ts';
import { bad, type Finding, good, reasonOf } from './finding.ts';

/** What no registry has: that it says so shows that it can be reached, and that our login is good. */
const nobody = { repository: 'weir/doctor', tag: 'latest' };
const patience = 15_000;

const remedies: Readonly<Partial<Record<UpstreamFailure, string>>> = {
  unreachable: 'check its name, the network, `proxy` and `ca`, or set it to null where nobody pulls from it',
  timeout: 'check the network, and what stands between',
  login: 'renew the credentials that are configured for it',
  limited: 'wait, or configure credentials: more may be pulled with them',
  forbidden: 'if that is right, allow it by `privateNetwork` or `realms`',
};

/** Checks that every endpoint of every upstream that is asked can be reached, and that credentials are taken. */
export async function examineUpstreams({ upstreams }: Settings, clock: Clock): Promise<Finding[]> {
  const findings = upstreams.flatMap((upstream): (Finding | Promise<Finding>)[] =>
    upstream.offline
      ? [good(nameOf(upstream), 'it is configured to be offline: it is never asked, and what is held is served')]
      : upstream.endpoints.map((endpoint) => examine(upstream, endpoint, clock)),
  );
  return Promise.all(findings);
}

function nameOf({ name }: UpstreamSettings): string {
  return `upstream ${name}`;
}

async function examine(upstream: UpstreamSettings, endpoint: string, clock: Clock): Promise<Finding> {
  const check = nameOf(upstream);
  let registry: Registry | undefined;
  const giveUp = new AbortController();
  const cancel = clock.after(patience, () => giveUp.abort(new Error('it does not answer')));
  try {
    registry = new Registry({ ...upstream, endpoints: [endpoint] }, clock, silent, new Metrics());
    await registry.headManifest(nobody.repository, { tag: nobody.tag }, giveUp.signal);
    return await reached(check, registry, endpoint);
  } catch (error) {
    if (registry !== undefined && isDefinite(error)) return await reached(check, registry, endpoint);
    return failed(check, endpoint, error);
  } finally {
    cancel();
    await registry?.close();
  }
}

async function reached(check: string, registry: Registry, endpoint: string): Promise<Finding> {
  const login = await registry.hasLogin(nobody.repository);
  return good(check, `${endpoint} answers${login ? ', and takes the credentials' : ''}`);
}

function failed(check: string, endpoint: string, error: unknown): Finding {
  if (!(error instanceof UpstreamError)) return bad(check, `${endpoint}: ${reasonOf(error)}`, 'see the other lines');
  return bad(check, `${endpoint} fails: ${error.reason}`, remedies[error.kind] ?? 'ask who runs it');
}

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
