import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, loadConfig } from '../../../src/config/load.ts';

const proxyOf = (env: Readonly<Record<string, string>>) =>
  loadConfig({ env }).upstreams.find(({ name }) => name === 'quay.io')?.proxy;

test('the proxy variables are those of every upstream', () => {
  const env = {
    HTTP_PROXY: 'http://a.test:3128',
    https_proxy: 'b.test:8080',
    HTTPS_PROXY: 'c.test',
    NO_PROXY: '.corp',
  };
  assert.deepEqual(proxyOf(env), { http: 'http://a.test:3128/', https: 'http://b.test:8080/', except: '.corp' });
  assert.deepEqual(proxyOf({ HTTP_PROXY: '' }), { http: undefined, https: undefined, except: '' });
});

test('a variable that names no HTTP proxy is an error, which does not tell the password', () => {
  for (const value of ['socks5://u:s3cret@p.test:1080', 'http://u:s3cret@', 'http://u:s3cret@p.test/path']) {
    assert.throws(
      () => loadConfig({ env: { HTTPS_PROXY: value } }),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(
          error.issues.map(({ place }) => place),
          ['HTTPS_PROXY'],
        );
        return !error.message.includes('s3cret');
      },
    );
  }
});
