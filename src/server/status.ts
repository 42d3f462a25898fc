import { programVersion } from '../config/version.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Routes } from '../upstream/routes.ts';
import type { UpstreamView } from '../upstream/wiring.ts';

/** What the status is read from. */
export interface StatusParts {
  readonly metrics: Metrics;
  readonly routes: Pick<Routes, 'registries'>;
  /** Bytes kept now, and bytes that may be kept. */
  readonly cache: { readonly bytes: number; readonly limit: number };
}

/** The mirror, as `/api/status` shows it. */
export interface StatusView {
  readonly version: string;
  /** Seconds since the process started. */
  readonly uptime: number;
  readonly cache: {
    readonly bytes: number;
    readonly limit: number;
    /** Part of the requests that were answered from what was there, or arriving already; `null` before the first. */
    readonly hitRatio: number | null;
  };
  /** Bytes of blobs sent to clients since the process started. */
  readonly servedBytes: number;
  readonly upstreams: readonly (UpstreamView & {
    /** Bytes of blobs received since the process started. */
    readonly bytes: number;
  })[];
}

/** Shows the mirror. */
export async function viewStatus({ metrics, routes, cache }: StatusParts): Promise<StatusView> {
  const received = (await metrics.upstreamBytes.get()).values;
  return {
    version: programVersion(),
    uptime: Math.floor(process.uptime()),
    cache: { ...cache, hitRatio: await hitRatio(metrics) },
    servedBytes: sum((await metrics.servedBytes.get()).values),
    upstreams: routes.registries.map((registry) => ({
      ...registry.view(),
      bytes: sum(received.filter(({ labels }) => 'upstream' in labels && labels.upstream === registry.name)),
    })),
  };
}

async function hitRatio({ cacheRequests }: Metrics): Promise<number | null> {
  const { values } = await cacheRequests.get();
  const all = sum(values);
  return all === 0 ? null : sum(values.filter(({ labels }) => !('result' in labels && labels.result === 'miss'))) / all;
}

function sum(values: readonly { readonly value: number }[]): number {
  return values.reduce((total, { value }) => total + value, 0);
}
