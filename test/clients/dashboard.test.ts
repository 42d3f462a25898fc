import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { Browser, browserPrograms } from '../support/browser.ts';
import { slow, stallAfter, status } from '../support/faults.ts';
import { Fleet, fleetNode } from '../support/fleet.ts';
import { makeImage } from '../support/images.ts';
import { lacking } from '../support/lacking.ts';
import { startMirror } from '../support/mirror.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const skip = lacking(browserPrograms);
const mib = 1024 * 1024;
/** A busy machine takes its time. */
const patience = 60_000;
/** Where pictures of every view are put. */
const pictures = process.env['WEIR_SCREENSHOTS'] ?? tempDir();
const views = ['now', 'nodes', 'images', 'upstreams'] as const;
const of = (repository: string) => ({ only: (path: string) => path.includes(`${repository}/blobs`) });

async function shows(page: Page, ...texts: readonly (string | RegExp)[]): Promise<void> {
  for (const text of texts) {
    const found = page.locator('section:visible').getByText(text).first();
    await found.waitFor({ timeout: patience }).catch(async () => {
      throw new Error(`${text} is not shown, but: ${await textOf(page.locator('main'))}`);
    });
  }
}

/** Goes to a view. */
async function goTo(page: Page, view: (typeof views)[number]): Promise<void> {
  await page.click(`#to-${view}`);
  await page.locator(`#${view}-title`).waitFor();
}

const textOf = async (locator: Locator) => (await locator.allInnerTexts()).join('\n');
const card = (page: Page, image: string) => page.locator('.pull').filter({ has: page.getByText(image) });

/** A cluster in which everything that can be shown goes on at the same time. */
async function setBusy(t: TestContext): Promise<Fleet> {
  const watchdog = { timeout: '10s', drip: '300ms', commitRate: '100KiB' };
  const fleet = await Fleet.start(t, { config: { watchdog } });
  const done = fleet.push('library/python:3.12', 300_000, 40_000, 2_000_000, 5000);
  for (const node of [1, 4, 3]) await fleet.pull(fleetNode(node), 'library/python:3.12', done);
  const sizes = Array.from({ length: 9 }, (_, index) => 400_000 * (index + 1));
  const slowly = fleet.push('team/frontend:main-8f3a2c1', ...sizes);
  fleet.upstream.faults.push(slow(60_000, of('team/frontend')));
  void fleet.pull(fleetNode(6), 'team/frontend:main-8f3a2c1', slowly, slowly.layers.slice(2, 5));
  const stalled = fleet.push('team/api:2026-11', 1_500_000, 3_000_000, 200_000);
  fleet.upstream.faults.push(stallAfter(700_000, 10 * patience, { ...of('team/api'), times: 2 }));
  void fleet.pull(fleetNode(5), 'team/api:2026-11', stalled);
  const held = fleet.push('team/model-server:v2', 400_000, 30 * mib, 200_000);
  void fleet.pull(fleetNode(2), 'team/model-server:v2', held);
  const manifests = { only: (path: string) => path.includes('other/manifests') };
  fleet.upstream.faults.push(status(429, { ...manifests, retryAfter: '300' }));
  await fleet.pull(fleetNode(7), 'team/other:v1', makeImage());
  return fleet;
}

/** No scrolling sideways, nothing over the margin, and the colours that were asked for. */
async function assertFits(page: Page, { width, scheme }: { width: number; scheme: 'light' | 'dark' }): Promise<void> {
  const { wide, rightmost, background } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    rightmost: Math.max(...[...document.querySelectorAll('main *')].map((each) => each.getBoundingClientRect().right)),
    background: getComputedStyle(document.body).backgroundColor,
  }));
  assert.equal(wide, width);
  assert.ok(rightmost <= width - 15, `${rightmost}`);
  assert.equal(background, scheme === 'light' ? 'rgb(243, 246, 248)' : 'rgb(13, 20, 24)');
}

test('pulls, nodes, images and upstreams are shown as they are: light and dark, wide and narrow', {
  skip,
}, async (t) => {
  const fleet = await setBusy(t);
  const browser = await Browser.start(t);
  const expected = {
    now: ['Dripping: the upstream is silent', /^Held while the node unpacks: \d/, 'Arriving from upstream', 'Complete'],
    nodes: [
      /^2 of 6 seen cancel a pull/,
      'CRI-O 1.31.2',
      '10 s, cannot be changed',
      'Podman or Buildah, containers/image 5.3.0',
      fleetNode(2).address,
    ],
    images: ['up.test/library/python:3.12', 'up.test/team/model-server:v2', /^used /],
    upstreams: ['Limited', /^Limit on manifest requests at .*, without a login: asked again in \d/, 'Not asked yet'],
  };
  for (const scheme of ['light', 'dark'] as const) {
    for (const width of [1280, 360]) {
      const look = { scheme, width, height: width === 360 ? 740 : 900 };
      const { page, asked, complaints } = await browser.open(fleet.mirror.adminUrl, look);
      for (const view of views) {
        await goTo(page, view);
        await shows(page, ...expected[view]);
        await assertFits(page, look);
        await page.screenshot({ path: join(pictures, `${view}-${scheme}-${width}.png`), fullPage: true });
      }
      assert.deepEqual(complaints, []);
      assert.deepEqual([...new Set(asked.map((url) => new URL(url).origin))], [fleet.mirror.adminUrl]);
      await page.context().close();
    }
  }
  t.diagnostic(`pictures: ${pictures}`);
});

test('a pull that would have been cancelled is shown as saved, with its silence against the limit', {
  skip,
}, async (t) => {
  const fleet = await Fleet.start(t, { config: { watchdog: { timeout: '2s', drip: '200ms' } } });
  const image = fleet.push('team/api:v1', 1_500_000, 100_000);
  fleet.upstream.faults.push(stallAfter(700_000, 12_000, of('team/api')));
  const browser = await Browser.start(t);
  const { page } = await browser.open(fleet.mirror.adminUrl);
  await shows(page, 'Nothing is being pulled right now.');
  const pull = fleet.pull(fleetNode(5), 'team/api:v1', image);
  await shows(page, 'Dripping: the upstream is silent', /^Running for/);
  const first = page.locator('.layer').first();
  const strip = await first.locator('.held').evaluate((held) => getComputedStyle(held).backgroundImage);
  assert.match(strip, /^linear-gradient\(to right, .*%/);
  const meter = page.getByRole('meter', { name: 'Longest silence' });
  assert.equal(await meter.getAttribute('aria-valuemax'), '2');
  await pull;
  const saved = card(page, 'up.test/team/api:v1');
  await saved.getByText('Saved').waitFor({ timeout: patience });
  assert.match(
    await textOf(saved),
    /CRI-O 1\.31\.2[\s\S]*Complete[\s\S]*gives up at 2\.0 s[\s\S]*2 of 2 layers delivered/,
  );
  assert.ok(Number(await meter.getAttribute('aria-valuenow')) < 2);
  await goTo(page, 'nodes');
  await until(async () => /\s1\s+1\s+0$/.test(await textOf(page.locator('tbody tr').last())));
});

test('where there is nothing, it is said', { skip }, async (t) => {
  const { adminUrl } = await startMirror(t, { config: { upstreams: {} } });
  const { page, complaints } = await (await Browser.start(t)).open(adminUrl);
  await shows(page, 'Nothing is being pulled right now.', /^Nothing has been pulled yet/, /^No blob is arriving/);
  await goTo(page, 'nodes');
  await shows(page, 'No node has pulled anything yet.');
  await goTo(page, 'images');
  await shows(page, /^No image is kept yet/);
  await goTo(page, 'upstreams');
  await shows(page, 'docker.io', 'Not asked yet');
  assert.deepEqual(complaints, []);
});

test('images are found, pinned, fetched and removed, and the admin token is asked for once', { skip }, async (t) => {
  const file = join(tempDir(), 'token');
  writeFileSync(file, 'secret\n');
  const fleet = await Fleet.start(t, { config: { adminToken: { file } } });
  for (const name of ['team/one:v1', 'team/two:v1']) await fleet.pull(fleetNode(1), name, fleet.push(name, 300_000));
  const partial = fleet.push('team/three:v1', 200_000, 100_000);
  await fleet.pull(fleetNode(1), 'team/three:v1', partial, partial.layers.slice(1));
  fleet.push('team/four:v1', 500_000);
  const { page } = await (await Browser.start(t)).open(`${fleet.mirror.adminUrl}/#images`);
  const said = (text: string | RegExp) => page.locator('#said').getByText(text).waitFor({ timeout: patience });
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  await shows(page, 'up.test/team/one:v1');
  await page.getByLabel('Search images').fill('TWO');
  assert.deepEqual(await page.locator('.image .name').allInnerTexts(), ['up.test/team/two:v1']);
  await page.getByLabel('Search images').fill('');

  await press('Pin up.test/team/one:v1');
  await page.getByLabel('Token', { exact: true }).fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('That token was not accepted.').waitFor({ timeout: patience });
  await page.getByLabel('Token', { exact: true }).fill('secret');
  await page.keyboard.press('Enter');
  await said('up.test/team/one:v1 is pinned.');
  assert.ok(await page.getByRole('button', { name: 'Remove up.test/team/one:v1' }).isDisabled());

  await press('Remove up.test/team/two:v1');
  await press('Really remove up.test/team/two:v1');
  await said('up.test/team/two:v1 is removed.');
  await press('Unpin up.test/team/one:v1');
  await said('up.test/team/one:v1 is no longer pinned.');
  await press('Fetch the rest of up.test/team/three:v1');
  await said('up.test/team/three:v1 is here.');
  await page.getByLabel('Bring an image').fill('up.test/team/four:v1');
  await page.keyboard.press('Enter');
  await said('up.test/team/four:v1 is here.');
  await page.getByLabel('Bring an image').fill('up.test/team/nowhere:v1');
  await page.keyboard.press('Enter');
  await said(/^up\.test\/team\/nowhere:v1 is not all here: /);
  const names = await page.locator('.image .name').allInnerTexts();
  assert.deepEqual(
    names.toSorted(),
    ['four', 'one', 'three'].map((name) => `up.test/team/${name}:v1`),
  );
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [
    0,
    0,
    '',
  ]);
});

test('an image that is pinned before it is here is shown without figures, and found by its name only', {
  skip,
}, async (t) => {
  const fleet = await Fleet.start(t);
  const body = JSON.stringify({ image: 'up.test/team/later:v1' });
  const answer = await fetch(`${fleet.mirror.adminUrl}/api/pins`, { method: 'POST', body });
  assert.equal(answer.status, 200, await answer.text());
  const { page } = await (await Browser.start(t)).open(`${fleet.mirror.adminUrl}/#images`);
  await shows(page, 'up.test/team/later:v1', 'nothing of it is here');
  await page.getByRole('button', { name: 'Fetch up.test/team/later:v1', exact: true }).waitFor({ timeout: patience });
  assert.equal(await page.getByText('0 B of').isVisible(), false);
  assert.equal(await page.locator('.image .meter').isVisible(), false);
  await page.getByLabel('Search images').fill('null');
  await shows(page, 'Nothing is called that');
  assert.equal(await page.locator('.image').count(), 0);
});

test('a lost connection is said, and what is shown is true again as soon as it is back', { skip }, async (t) => {
  const fleet = await Fleet.start(t);
  const image = fleet.push('team/app:v1', 100_000);
  await fleet.pull(fleetNode(1), 'team/app:v1', image);
  const { page } = await (await Browser.start(t)).open(fleet.mirror.adminUrl);
  await shows(page, 'up.test/team/app:v1');
  assert.equal(await textOf(page.locator('#link')), 'Live');
  await fleet.mirror.close();
  await page.getByRole('alert').getByText('The connection to the mirror is lost.').waitFor({ timeout: patience });
  assert.equal(await textOf(page.locator('#link')), 'Reconnecting…');
  await startMirror(t, { dataDir: fleet.mirror.dataDir, config: { admin: new URL(fleet.mirror.adminUrl).host } });
  await page.getByRole('alert').waitFor({ state: 'hidden', timeout: patience });
  await shows(page, /^Nothing has been pulled yet/);
});

/** Milliseconds for which nothing may keep the page from answering, and in which a view is to be there. */
const [longestTask, longestSwitch] = [400, 1000];

test('200 nodes and 2,000 images are shown without holding up whoever looks at them', { skip }, async (t) => {
  const fleet = await Fleet.start(t);
  const image = fleet.push('team/app:0', 50_000, 20_000, 3000);
  for (let node = 0; node < 200; node += 20) {
    const some = Array.from({ length: 20 }, (_, index) => fleet.pull(fleetNode(node + index), 'team/app:0', image));
    await Promise.all(some);
  }
  for (let tag = 1; tag < 2000; tag++) fleet.upstream.push('team/app', String(tag), image);
  for (let tag = 1; tag < 2000; tag += 50) {
    const some = Array.from({ length: Math.min(50, 2000 - tag) }, (_, index) =>
      fleet.pull(fleetNode(1), `team/app:${tag + index}`, makeImage(), []),
    );
    await Promise.all(some);
  }
  const { page } = await (await Browser.start(t)).open(`${fleet.mirror.adminUrl}/#upstreams`);
  await shows(page, 'up.test');
  // As a text: the types of Node.js know no such entries.
  await page.evaluate(`
    globalThis.tasks = [];
    const note = (list) => tasks.push(...list.getEntries().map(({ duration }) => duration));
    new PerformanceObserver(note).observe({ entryTypes: ['longtask'] });
  `);
  const times: string[] = [];
  const timed = async (what: string, act: () => Promise<void>) => {
    const before = performance.now();
    await act();
    const ms = performance.now() - before;
    times.push(`${what} ${Math.round(ms)} ms`);
    assert.ok(ms < longestSwitch * 5, `${what}: ${ms} ms`);
  };
  await timed('now', async () => {
    await goTo(page, 'now');
    await shows(page, 'Complete');
  });
  await timed('nodes', async () => {
    await goTo(page, 'nodes');
    await shows(page, /^80 of 200 seen cancel/, 'Show 50 more of 150');
  });
  await timed('all nodes', async () => {
    for (const left of [150, 100, 50])
      await page.locator('section:visible').getByText(`Show 50 more of ${left}`).click();
    await page.locator('table').last().locator('tbody tr').nth(199).waitFor();
  });
  await timed('images', async () => {
    await goTo(page, 'images');
    await shows(page, /^2,000 images/, 'Show 50 more of 1950');
  });
  await timed('search', async () => {
    await page.getByLabel('Search images').fill('app:1999');
    await shows(page, /^1 image of 2000/);
  });
  const tasks = await page.evaluate('tasks');
  assert.ok(Array.isArray(tasks));
  const longest = Math.max(0, ...tasks);
  t.diagnostic(`${times.join(', ')}; longest task of the page ${Math.round(longest)} ms`);
  assert.ok(longest < longestTask, `a task of ${longest} ms`);
});

test('what clients call themselves and their images is text, and nothing else runs or is asked', {
  skip,
}, async (t) => {
  const fleet = await Fleet.start(t);
  const image = fleet.push('team/app:v1', 1000);
  const name = '1.31.2<img/src=x/onerror=document.title=1>';
  await fleet.pull({ address: '10.0.0.1', userAgent: `cri-o/${name.replaceAll('/', '\\')}` }, 'team/app:v1', image);
  const browser = await Browser.start(t);
  const { page, asked, complaints } = await browser.open('about:blank');
  const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
  await page.route('**/api/images', async (route) => {
    const answer = await route.fetch();
    const [first] = await answer.json();
    await route.fulfill({ response: answer, json: [{ ...first, repository: evil, upstream: evil, tag: evil }] });
  });
  const answer = await page.goto(fleet.mirror.adminUrl);
  const headers = answer?.headers() ?? {};
  assert.match(headers['content-security-policy'] ?? '', /^default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.match(headers['content-security-policy'] ?? '', /frame-ancestors 'none'; require-trusted-types-for 'script'$/);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  await shows(page, /CRI-O 1\.31\.2<img\\src=x\\onerror=document\.title=1> · /);
  await goTo(page, 'nodes');
  await shows(page, 'CRI-O 1.31.2<img\\src=x\\onerror=document.title=1>');
  await goTo(page, 'images');
  await shows(page, `${evil}/${evil}:${evil}`);
  assert.deepEqual(await page.locator('main img, main script').count(), 0);
  assert.deepEqual([await page.title(), complaints], ['Images – Weir', []]);
  const tried = await page.evaluate(async () => {
    const script = document.createElement('script');
    const outcomes: string[] = [];
    for (const act of [
      () => document.body.insertAdjacentHTML('beforeend', '<b>x</b>'),
      () => Object.assign(script, { text: 'document.title = 1' }),
      () => fetch('http://127.0.0.2:1/'),
    ]) {
      try {
        await act();
        outcomes.push('done');
      } catch {
        outcomes.push('refused');
      }
    }
    return outcomes;
  });
  assert.deepEqual(tried, ['refused', 'refused', 'refused']);
  assert.deepEqual([...new Set(asked.map((url) => new URL(url).origin))], [fleet.mirror.adminUrl]);
  assert.match(complaints.join('\n'), /violates .*Content Security Policy/i);
});

test('everything can be done by keyboard, and the focus is seen', { skip }, async (t) => {
  const fleet = await Fleet.start(t);
  for (const name of ['team/one:v1', 'team/two:v1']) await fleet.pull(fleetNode(1), name, fleet.push(name, 300_000));
  const { page } = await (await Browser.start(t)).open(fleet.mirror.adminUrl, { width: 360, height: 740 });
  await shows(page, 'up.test/team/two:v1');
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
  const tabTo = async (text: string | RegExp) => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press('Tab');
      const now = await focused();
      if (typeof text === 'string' ? now === text : text.test(now)) return;
    }
    throw new Error(`${text} cannot be reached`);
  };
  await tabTo('Skip to the content');
  await tabTo('Now');
  await tabTo('Nodes');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle);
  assert.equal(outline, 'solid');
  await page.keyboard.press('Enter');
  await until(async () => (await focused()) === 'Nodes' && (await page.title()) === 'Nodes – Weir');
  await page.goBack();
  await until(async () => (await focused()) === 'Now');
  await tabTo(/layers? delivered/);
  const details = page.locator('.pull details').first();
  assert.equal(await details.evaluate((each: HTMLDetailsElement) => each.open), false);
  await page.keyboard.press('Enter');
  await page.locator('.layer').first().waitFor();
  await page.keyboard.press('Shift+Tab');
  await page.goto(`${fleet.mirror.adminUrl}/#images`);
  await shows(page, 'up.test/team/two:v1');
  await tabTo('Remove');
  await page.keyboard.press('Enter');
  await until(async () => (await focused()) === 'Really remove?');
  await page.keyboard.press('Tab');
  await until(async () => (await page.getByText('Really remove?').count()) === 0);
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Space');
  await page.keyboard.press('Space');
  await page
    .locator('#said')
    .getByText(/is removed/)
    .waitFor({ timeout: patience });
  await until(async () => (await page.locator('.image').count()) === 1);
  await until(() => page.getByLabel('Search images').evaluate((search) => search === document.activeElement));
  const roles = await page
    .locator('nav a[aria-current="page"], main section[aria-labelledby], [role="status"]')
    .count();
  assert.ok(roles >= 4, `${roles}`);
});
