import { BlockList, isIP } from 'node:net';
import type { WatchdogSettings } from '../config/settings.ts';
import type { CommitSettings } from './commit-model.ts';
import type { Runtime } from './runtimes.ts';
import { canTimeOut } from './watchdogs.ts';

/** What a mirror assumes of one client, and whether it holds anything for it. */
export interface PullRules {
  readonly guarded: boolean;
  readonly model: CommitSettings;
}

/** Tells what holds for a client at this address. */
export type RulesOf = (address: string, runtime: Runtime) => PullRules;

/** The rules as configured. Of the networks that have a rate of their own, the narrowest counts. */
export function configuredRules(settings: WatchdogSettings): RulesOf {
  const { timeout, maxHold, guard } = settings;
  const networks = (settings.commitRates ?? [])
    .toSorted((a, b) => b.network.prefix - a.network.prefix)
    .map(({ network: { address, prefix, family }, commitRate }) => {
      const members = new BlockList();
      members.addSubnet(address, prefix, family);
      return { members, commitRate };
    });
  return (address, { watchdog }) => {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const own = networks.find(({ members }) => isIP(address) !== 0 && members.check(address, family));
    const model = { timeout, maxHold, commitRate: own?.commitRate ?? settings.commitRate };
    return { guarded: guard === 'always' || (guard === 'auto' && canTimeOut(watchdog)), model };
  };
}
