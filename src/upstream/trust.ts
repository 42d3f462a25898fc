import { getDomain } from 'tldts';
import type { AuthTarget } from './login.ts';

/**
 * Whether our login may be sent to the token service that a host names: only for one of our own endpoints, and only to
 * its own host, another of the same registrable domain (`auth.docker.io` for `registry-1.docker.io`), or one of the
 * configured `realms`. Never over plain http that the registry does not use itself.
 */
export function mayKnowLogin(realm: URL, { url, trusted }: AuthTarget, realms: readonly string[]): boolean {
  if (!trusted || leadsDown(url, realm)) return false;
  if (realm.hostname === url.hostname || realms.includes(realm.host)) return true;
  const domain = getDomain(url.hostname, { allowPrivateDomains: true });
  return domain !== null && getDomain(realm.hostname, { allowPrivateDomains: true }) === domain;
}

/** Whether the way from one URL to another leaves https: what is said there, others can hear. */
export function leadsDown(from: URL, to: URL): boolean {
  return from.protocol === 'https:' && to.protocol !== 'https:';
}
