import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Everything that is counted, under the prefix `weir_`. One for each mirror: nothing is global. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #registers = [this.#registry];

  readonly requests = new Counter({
    name: 'weir_requests_total',
    help: 'Requests answered, by route and status code.',
    labelNames: ['route', 'code'],
    registers: this.#registers,
  });
  readonly servedBytes = new Counter({
    name: 'weir_served_bytes_total',
    help: 'Bytes of blobs sent to clients: from the cache (hit), while they arrive (flight), or without keeping them (pass).',
    labelNames: ['source'],
    registers: this.#registers,
  });
  readonly upstreamBytes = new Counter({
    name: 'weir_upstream_bytes_total',
    help: 'Bytes of blobs received from upstream.',
    labelNames: ['upstream', 'endpoint'],
    registers: this.#registers,
  });
  readonly upstreamRequests = new Counter({
    name: 'weir_upstream_requests_total',
    help: 'Requests to upstreams, by what they were for (manifest, blob, list, ping, token), and the status code, or what went wrong.',
    labelNames: ['upstream', 'endpoint', 'kind', 'code'],
    registers: this.#registers,
  });
  readonly ratelimitRemaining = new Gauge({
    name: 'weir_upstream_ratelimit_remaining',
    help: 'Manifests that the upstream would still let us fetch, as it said last.',
    labelNames: ['upstream'],
    registers: this.#registers,
  });
  readonly circuitOpen = new Gauge({
    name: 'weir_circuit_open',
    help: 'Limits (429) in force: kinds of requests that an upstream is not asked until the time is over that it named.',
    labelNames: ['upstream'],
    registers: this.#registers,
  });
  readonly circuitReopens = new Gauge({
    name: 'weir_circuit_reopens_timestamp_seconds',
    help: 'When the last of the limits in force is over, in seconds of the Unix epoch; 0 where there is none.',
    labelNames: ['upstream'],
    registers: this.#registers,
  });
  readonly upstreamRepairs = new Counter({
    name: 'weir_upstream_repairs_total',
    help: 'Parts of blobs that did not come as they should, and were asked for again.',
    labelNames: ['reason'],
    registers: this.#registers,
  });
  readonly firstByte = new Histogram({
    name: 'weir_first_byte_seconds',
    help: 'From the request for a blob to its first byte.',
    labelNames: ['source'],
    buckets: seconds,
    registers: this.#registers,
  });
  readonly pulls = new Counter({
    name: 'weir_pulls_total',
    help: 'Pulls of images, by runtime, and how they ended; partial: the client had some layers already.',
    labelNames: ['runtime', 'outcome'],
    registers: this.#registers,
  });
  readonly clientGap = new Histogram({
    name: 'weir_client_gap_seconds',
    help: 'The longest silence of each pull while one of its sockets could take bytes.',
    buckets: [...seconds, 20, 30, 60],
    registers: this.#registers,
  });
  readonly suspectedKills = new Counter({
    name: 'weir_watchdog_suspected_kills_total',
    help: 'Pulls that were repeated as if the watchdog of their node had cancelled them while it unpacked.',
    registers: this.#registers,
  });
  readonly drips = new Counter({
    name: 'weir_drips_total',
    help: 'Single bytes that were sent to break a silence.',
    registers: this.#registers,
  });
  readonly holds = new Counter({
    name: 'weir_holds_total',
    help: 'Layers whose last bytes were held while the node had others to unpack.',
    registers: this.#registers,
  });
  readonly holdSeconds = new Histogram({
    name: 'weir_hold_seconds',
    help: 'How long the last bytes of a layer were held.',
    buckets: [0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320],
    registers: this.#registers,
  });
  readonly cacheRequests = new Counter({
    name: 'weir_cache_requests_total',
    help: 'What the cache did: hit, join (an arriving blob), miss, stale.',
    labelNames: ['kind', 'result'],
    registers: this.#registers,
  });
  readonly flights = new Gauge({
    name: 'weir_flights',
    help: 'Blobs arriving from upstream now.',
    registers: this.#registers,
  });
  readonly cacheBytes = new Gauge({
    name: 'weir_cache_bytes',
    help: 'Bytes of content kept.',
    registers: this.#registers,
  });
  readonly cacheLimit = new Gauge({
    name: 'weir_cache_limit_bytes',
    help: 'Bytes of content that may be kept.',
    registers: this.#registers,
  });
  readonly evictedBytes = new Counter({
    name: 'weir_cache_evicted_bytes_total',
    help: 'Bytes of content removed to make room.',
    registers: this.#registers,
  });
  readonly integrityFailures = new Counter({
    name: 'weir_integrity_failures_total',
    help: 'Content that was not what its digest or checksum says, by where it was found.',
    labelNames: ['where'],
    registers: this.#registers,
  });

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The media type of `text`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics in Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
