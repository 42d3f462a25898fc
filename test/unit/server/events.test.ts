import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { Log } from '../../../src/metrics/log.ts';
import { Events } from '../../../src/server/events.ts';
import { FakeClock } from '../../support/clock.ts';
import { collectLog, type LogLine } from '../../support/mirror.ts';
import { until } from '../../support/until.ts';

/** A stream of events, as far as it has come. */
class Listening {
  readonly response: IncomingMessage;
  #text = '';

  constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
    });
    response.on('error', () => {});
  }

  /** Of one topic. */
  of(topic: string): unknown[] {
    const found = this.#text.matchAll(new RegExp(`^event: ${topic}\ndata: (.*)\n\n`, 'gm'));
    return [...found].map(([, json = '']) => JSON.parse(json));
  }
}

/** Events of things that a test changes, on a clock of its own. */
async function setEvents(t: TestContext) {
  const clock = new FakeClock();
  const lines: LogLine[] = [];
  const log: Log = collectLog(lines);
  const things = new Map<string, unknown>([['a', { size: 1 }]]);
  const reads = { often: 0, seldom: 0 };
  const read = (topic: 'often' | 'seldom') => {
    reads[topic]++;
    return topic === 'often' ? [...things] : [];
  };
  const topics = [
    { name: 'often', every: 1, read: () => read('often') },
    { name: 'seldom', every: 4, read: () => Promise.resolve(read('seldom')) },
  ];
  const events = new Events({ clock, log, topics });
  const server = createServer((request, response) => void events.answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const listen = async () => {
    const [response] = await once(get({ port, host: '127.0.0.1', agent: false }), 'response');
    return new Listening(response);
  };
  return { clock, events, things, reads, listen, lines };
}

/** Lets rounds pass. What a round reads is there in the next turn of the loop. */
async function pass(clock: FakeClock, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    clock.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('whoever listens is shown everything at once, and then what has changed, and nothing while nothing does', async (t) => {
  const { clock, things, listen } = await setEvents(t);
  const one = await listen();
  await until(() => one.of('often').length === 1);
  assert.deepEqual(one.of('often'), [{ all: [['a', { size: 1 }]] }]);
  assert.equal(one.response.headers['content-type'], 'text/event-stream; charset=utf-8');
  await pass(clock, 3);
  things.set('b', 'new\n\ndata: x');
  things.delete('a');
  await pass(clock, 3);
  await until(() => one.of('often').length === 2);
  assert.deepEqual(one.of('often')[1], { set: [['b', 'new\n\ndata: x']], gone: ['a'] });
  const other = await listen();
  await pass(clock, 1);
  await until(() => other.of('often').length === 1);
  assert.deepEqual(other.of('often'), [{ all: [['b', 'new\n\ndata: x']] }]);
  assert.equal(one.of('often').length, 2);
  await pass(clock, 20);
  await until(() => one.of('alive').length === 2);
  assert.deepEqual(Object.keys(one.of('alive')[1] ?? {}), ['now']);
});

test('things are read once for all who listen, and not at all while nobody does', async (t) => {
  const { clock, reads, listen } = await setEvents(t);
  await pass(clock, 3);
  assert.deepEqual([reads, clock.pending], [{ often: 0, seldom: 0 }, 0]);
  const listeners = [await listen(), await listen(), await listen()];
  await pass(clock, 7);
  assert.deepEqual([reads, clock.pending], [{ often: 8, seldom: 2 }, 1]);
  for (const { response } of listeners) response.destroy();
  await until(async () => {
    await pass(clock, 1);
    return clock.pending === 0;
  });
  const before = reads.often;
  await pass(clock, 5);
  assert.equal(reads.often, before);
});

test('only so many may listen; when the mirror shuts down, nobody may', async (t) => {
  const { clock, events, listen } = await setEvents(t);
  const listeners = await Promise.all(Array.from({ length: 33 }, listen));
  const statuses = listeners.map(({ response }) => response.statusCode);
  assert.deepEqual([statuses.filter((status) => status === 200).length, statuses.includes(503)], [32, true]);
  events.close();
  assert.equal(clock.pending, 0);
  await until(() => listeners.every(({ response }) => response.complete));
  assert.equal((await listen()).response.statusCode, 503);
  await pass(clock, 2);
  assert.equal(clock.pending, 0);
});

test('who does not read is sent nothing more, and everything as soon as it reads again', async (t) => {
  const { clock, things, listen } = await setEvents(t);
  const slow = await listen();
  await until(() => slow.of('often').length === 1);
  slow.response.pause();
  const large = 'x'.repeat(1_000_000);
  for (let round = 0; round < 40; round++) {
    things.set('a', `${round}${large}`);
    await pass(clock, 1);
  }
  things.set('a', 'last');
  slow.response.resume();
  await until(async () => {
    await pass(clock, 1);
    return JSON.stringify(slow.of('often').at(-1)) === '{"all":[["a","last"]]}';
  });
  assert.ok(slow.of('often').length < 40, `${slow.of('often').length} events`);
});

test('what cannot be read once is read again', async (t) => {
  const { clock, things, lines, listen } = await setEvents(t);
  const cycle: { self?: object } = {};
  cycle.self = cycle;
  things.set('b', cycle);
  const listener = await listen();
  await until(() => lines.length > 0);
  things.delete('b');
  await pass(clock, 1);
  await until(() => listener.of('often').length === 1);
});
