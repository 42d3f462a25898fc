import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SingleFlight } from '../../../src/async/singleflight.ts';

test('all who ask while it runs share one run, and its outcome', async () => {
  const flights = new SingleFlight<number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  let runs = 0;
  const work = () => {
    runs++;
    return promise;
  };
  const all = Array.from({ length: 5 }, () => flights.run('a', work));
  resolve(7);
  assert.deepEqual(await Promise.all(all), [7, 7, 7, 7, 7]);
  assert.equal(runs, 1);
});

test('other keys run on their own', async () => {
  const flights = new SingleFlight<string>();
  const ask = (key: string) => flights.run(key, async () => key);
  assert.deepEqual(await Promise.all([ask('a'), ask('b'), ask('__proto__')]), ['a', 'b', '__proto__']);
});

test('nothing is remembered once it has settled, a failure least of all', async () => {
  const flights = new SingleFlight<number>();
  const failing = () => Promise.reject(new Error('no'));
  const both = await Promise.allSettled([flights.run('a', failing), flights.run('a', failing)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(await flights.run('a', async () => 1), 1);
  assert.equal(await flights.run('a', async () => 2), 2);
});

test('work that throws before it waits is not remembered either', async () => {
  const flights = new SingleFlight<number>();
  const broken = () => {
    throw new RangeError('at once');
  };
  await assert.rejects(async () => flights.run('a', broken), RangeError);
  assert.equal(await flights.run('a', async () => 1), 1);
});
