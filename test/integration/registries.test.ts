import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { makeImage } from '../support/images.ts';
import { LookAlike, type TokenQuestion, type Traits } from '../support/look-alikes.ts';
import { startMirror } from '../support/mirror.ts';
import { FakeProxy } from '../support/proxy.ts';
import { tempDir } from '../support/temp.ts';

/** A registry's look, and how a mirror is told of it. */
interface Row extends Traits {
  /** Its name in the configuration. */
  readonly upstream: string;
  /** The repository as nodes ask for it, where that is something else. */
  readonly asked?: string;
  /** A login of its own, or a credentials file for all. */
  readonly login?: { readonly username: string; readonly password: string } | { readonly file: object };
  readonly upstreamKeys?: object;
  /** What the token service must have been asked, once. */
  readonly question?: string;
}

const base64 = (text: string) => Buffer.from(text).toString('base64');
const basicOf = (username: string, password: string) => `Basic ${base64(`${username}:${password}`)}`;
const anonymous = ({ authorization }: TokenQuestion) => authorization === undefined || 401;
const byGet =
  (username: string, password: string, postStatus = 404) =>
  ({ method, authorization }: TokenQuestion) => {
    if (method === 'POST') return postStatus;
    return authorization === basicOf(username, password) || 401;
  };
const jsonKey = '{\n  "type": "service_account",\n  "private_key": "-----BEGIN: s3cret\\n"\n}';

const ghcr: Row = {
  upstream: 'ghcr.io',
  host: 'ghcr.io',
  repository: 'owner/app',
  tokens: {
    url: 'http://ghcr.io/token',
    scope: 'repository:owner/app:pull',
    admits: ({ authorization, params }) =>
      (authorization === undefined && params.get('scope') === 'repository:owner/app:pull') || 403,
    reply: (token) => ({ token }),
  },
  blobs: { status: 307, host: 'pkg-containers.githubusercontent.com' },
  question: 'GET service=ghcr.io&scope=repository%3Aowner%2Fapp%3Apull',
};

const k8s: Row = {
  upstream: 'registry.k8s.io',
  host: 'registry.k8s.io',
  repository: 'pause',
  manifests: { status: 307, host: 'europe-west4-docker.pkg.dev' },
  blobs: { status: 307, host: 'europe-west4-docker.pkg.dev' },
  elsewhereRealm: 'http://europe-west4-docker.pkg.dev/v2/token',
};

const harbor: Row = {
  upstream: 'harbor.corp.example',
  host: 'harbor.corp.example',
  repository: 'project/app',
  challenge:
    'Bearer realm="http://harbor.corp.example/service/token",service="harbor-registry",scope="repository:project/app:pull"',
  tokens: {
    url: 'http://harbor.corp.example/service/token',
    scope: 'repository:project/app:pull',
    admits: byGet('robot$weir', 's3cret:with:colons'),
    reply: (token) => ({ token, access_token: '', expires_in: 1800, issued_at: '2026-01-01T00:00:00Z' }),
  },
  login: { username: 'robot$weir', password: 's3cret:with:colons' },
  headers: { 'set-cookie': 'sid=harbor; Path=/; HttpOnly' },
  absent: [404, 'NOT_FOUND'],
};

const rows: Readonly<Record<string, Row>> = {
  'Docker Hub': {
    upstream: 'docker.io',
    host: 'registry-1.docker.io',
    asked: 'nginx',
    repository: 'library/nginx',
    challenge:
      'Bearer realm="http://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"',
    tokens: {
      url: 'http://auth.docker.io/token',
      scope: 'repository:library/nginx:pull',
      admits: anonymous,
      reply: (token) => ({ token, access_token: token, expires_in: 300, issued_at: '2026-01-01T00:00:00.123Z' }),
    },
    blobs: { status: 307, host: 'production.cloudflare.docker.com' },
    headers: { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' },
    question: 'GET service=registry.docker.io&scope=repository%3Alibrary%2Fnginx%3Apull',
  },
  'ghcr.io': {
    ...ghcr,
    challenge: 'Bearer realm="http://ghcr.io/token",service="ghcr.io",scope="repository:owner/app:pull"',
  },
  'ghcr.io, with a placeholder for a scope': {
    ...ghcr,
    // What /v2/ says is all there is, and is of no repository.
    pingChallenge: 'Bearer realm="http://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull"',
  },
  'quay.io': {
    upstream: 'quay.io',
    host: 'quay.io',
    repository: 'prometheus/node-exporter',
    challenge:
      'Bearer realm="http://quay.io/v2/auth",service="quay.io",scope="repository:prometheus/node-exporter:pull"',
    tokens: {
      url: 'http://quay.io/v2/auth',
      scope: 'repository:prometheus/node-exporter:pull',
      admits: anonymous,
      reply: (token) => ({ token }),
    },
    blobs: { status: 302, host: 'cdn01.quay.io' },
    headers: { 'set-cookie': 'session=quay; HttpOnly' },
  },
  'registry.k8s.io': k8s,
  'registry.k8s.io, with blobs at a store that knows no logins': {
    ...k8s,
    blobs: { status: 307, host: 'prod-registry-k8s-io-eu-west-1.s3.dualstack.eu-west-1.amazonaws.com' },
  },
  'registry.k8s.io, with blobs two steps away': {
    ...k8s,
    blobs: { status: 307, host: 'europe-west4-docker.pkg.dev', further: 'storage.googleapis.com' },
  },
  'gcr.io, which refuses without a challenge': {
    upstream: 'gcr.io',
    host: 'gcr.io',
    repository: 'project/app',
    pingChallenge: 'Bearer realm="http://gcr.io/v2/token",service="gcr.io"',
    tokens: {
      url: 'http://gcr.io/v2/token',
      scope: 'repository:project/app:pull',
      admits: byGet('_json_key', jsonKey),
      reply: (token) => ({ token, expires_in: 43200, issued_at: '2026-01-01T00:00:00Z' }),
    },
    blobs: { status: 302, host: 'storage.googleapis.com' },
    login: { username: '_json_key', password: jsonKey },
  },
  'Artifact Registry': {
    upstream: 'europe-docker.pkg.dev',
    host: 'europe-docker.pkg.dev',
    repository: 'project/repo/app',
    challenge:
      'Bearer realm="http://europe-docker.pkg.dev/v2/token",service="europe-docker.pkg.dev",scope="repository:project/repo/app:pull"',
    tokens: {
      url: 'http://europe-docker.pkg.dev/v2/token',
      scope: 'repository:project/repo/app:pull',
      admits: byGet('oauth2accesstoken', 'ya29.s3cret'),
      reply: (token) => ({ token, expires_in: 3599 }),
    },
    login: {
      // An identity token, which it takes by no POST, beside a password.
      file: {
        auths: {
          'https://europe-docker.pkg.dev': {
            auth: base64('oauth2accesstoken:ya29.s3cret'),
            identitytoken: 'identity-s3cret',
          },
        },
      },
    },
  },
  'ECR private': {
    upstream: '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
    host: '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
    repository: 'team/app',
    challenge: 'Basic realm="http://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"',
    basic: basicOf('AWS', 'ecr-s3cret'),
    saysDigest: false,
    blobs: { status: 307, host: 'prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com' },
    login: { username: 'AWS', password: 'ecr-s3cret' },
    absent: [404, 'NAME_UNKNOWN'],
  },
  'ECR public': {
    upstream: 'public.ecr.aws',
    host: 'public.ecr.aws',
    repository: 'docker/library/nginx',
    challenge: 'Bearer realm="http://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"',
    tokens: {
      url: 'http://public.ecr.aws/token/',
      scope: 'aws',
      admits: anonymous,
      reply: (token) => ({ token }),
    },
    blobs: { status: 307, host: 'd5l0dvt14r5h8.cloudfront.net' },
    question: 'GET service=public.ecr.aws&scope=aws',
  },
  'ACR with a refresh token': {
    upstream: 'corp.azurecr.io',
    host: 'corp.azurecr.io',
    repository: 'team/app',
    challenge:
      'Bearer realm="http://corp.azurecr.io/oauth2/token",service="corp.azurecr.io",scope="repository:team/app:pull",error="invalid_token"',
    tokens: {
      url: 'http://corp.azurecr.io/oauth2/token',
      scope: 'repository:team/app:pull',
      admits: ({ method, params }) => (method === 'POST' && params.get('refresh_token') === 'acr-s3cret') || 401,
      reply: (token) => ({ access_token: token }),
    },
    blobs: { status: 307, host: 'weuprodblob1.blob.core.windows.net' },
    login: {
      file: {
        auths: {
          'corp.azurecr.io': {
            auth: base64('00000000-0000-0000-0000-000000000000:'),
            identitytoken: 'acr-s3cret',
          },
        },
      },
    },
  },
  'ACR with a password': {
    upstream: 'corp.azurecr.io',
    host: 'corp.azurecr.io',
    repository: 'team/app',
    challenge:
      'Bearer realm="http://corp.azurecr.io/oauth2/token",service="corp.azurecr.io",scope="repository:team/app:pull"',
    tokens: {
      url: 'http://corp.azurecr.io/oauth2/token',
      scope: 'repository:team/app:pull',
      admits: byGet('corp', 'acr-s3cret', 400),
      reply: (token) => ({ access_token: token }),
    },
    blobs: { status: 307, host: 'weuprodblob1.blob.core.windows.net' },
    login: { username: 'corp', password: 'acr-s3cret' },
  },
  'gitlab.com': {
    upstream: 'registry.gitlab.com',
    host: 'registry.gitlab.com',
    repository: 'group/project/app',
    challenge:
      'Bearer realm="http://gitlab.com/jwt/auth",service="container_registry",scope="repository:group/project/app:pull",error="invalid_token"',
    tokens: {
      url: 'http://gitlab.com/jwt/auth',
      scope: 'repository:group/project/app:pull',
      admits: byGet('deploy', 'glpat-s3cret'),
      reply: (token) => ({ token }),
    },
    blobs: { status: 307, host: 'cdn.registry.gitlab-static.net' },
    login: { username: 'deploy', password: 'glpat-s3cret' },
    question: 'GET service=container_registry&scope=repository%3Agroup%2Fproject%2Fapp%3Apull&account=deploy',
  },
  'GitLab on hosts of one’s own, with the token service at another domain': {
    upstream: 'registry.corp.example',
    host: 'registry.corp.example',
    repository: 'group/app',
    challenge:
      'Bearer realm="http://gitlab.other.example/jwt/auth",service="container_registry",scope="repository:group/app:pull"',
    tokens: {
      url: 'http://gitlab.other.example/jwt/auth',
      scope: 'repository:group/app:pull',
      admits: byGet('deploy', 'glpat-s3cret'),
      reply: (token) => ({ token }),
    },
    login: { username: 'deploy', password: 'glpat-s3cret' },
    upstreamKeys: { realms: ['gitlab.other.example'] },
  },
  Harbor: harbor,
  'Harbor, which does not know what is missing': { ...harbor, absent: [404, 'UNKNOWN'] },
  Gitea: {
    upstream: 'gitea.corp.example',
    host: 'gitea.corp.example',
    repository: 'owner/app',
    challenge: 'Bearer realm="http://gitea.corp.example/v2/token",service="container_registry",scope="*"',
    tokens: {
      url: 'http://gitea.corp.example/v2/token',
      scope: '*',
      admits: byGet('reader', 'gitea-s3cret'),
      reply: (token) => ({ token }),
    },
    login: { username: 'reader', password: 'gitea-s3cret' },
    question: 'GET service=container_registry&scope=*&account=reader',
  },
  Nexus: {
    upstream: 'nexus.corp.example:8082',
    host: 'nexus.corp.example:8082',
    repository: 'team/app',
    challenge: 'BASIC realm="Sonatype Nexus Repository Manager"',
    basic: basicOf('reader', 'nexus-s3cret'),
    login: { file: { auths: { 'nexus.corp.example:8082': { auth: base64('reader:nexus-s3cret') } } } },
  },
  Artifactory: {
    upstream: 'corp.jfrog.io',
    host: 'corp.jfrog.io',
    repository: 'docker-remote/library/nginx',
    challenge:
      'Bearer realm="http://corp.jfrog.io/v2/token",service="corp.jfrog.io",scope="repository:docker-remote/library/nginx:pull,push", Basic realm="Artifactory Realm"',
    tokens: {
      url: 'http://corp.jfrog.io/v2/token',
      scope: 'repository:docker-remote/library/nginx:pull',
      admits: byGet('reader', 'jfrog-s3cret', 401),
      reply: (token) => ({ token, expires_in: 3600 }),
    },
    blobs: { status: 302, host: 'jfrog-prod-euc1-shared-frankfurt-main.s3.amazonaws.com' },
    mediaTypeSuffix: ';charset=UTF-8',
    login: {
      file: {
        auths: {
          'corp.jfrog.io/docker-remote': {
            auth: base64('reader:jfrog-s3cret'),
            identitytoken: 'jfrog-identity-s3cret',
          },
          'corp.jfrog.io': { auth: base64('other:s3cret') },
        },
      },
    },
  },
  'mcr.microsoft.com': {
    upstream: 'mcr.microsoft.com',
    host: 'mcr.microsoft.com',
    repository: 'dotnet/runtime',
    blobs: { status: 307, host: 'westeurope.data.mcr.microsoft.com' },
  },
};

/** A mirror that reaches this registry by the proxy, and has its login. */
async function open(t: TestContext, row: Row) {
  const { upstream, host, login, upstreamKeys } = row;
  const proxy = await FakeProxy.start(t);
  const image = makeImage(700_000);
  const registry = await LookAlike.start(t, proxy, row, image);
  const loginFile = join(tempDir(), 'login');
  if (login) await writeFile(loginFile, 'file' in login ? JSON.stringify(login.file) : `${login.password}\n`);
  const own =
    login && 'username' in login ? { credentials: { username: login.username, passwordFile: loginFile } } : {};
  const mirror = await startMirror(t, {
    config: {
      ...(login && 'file' in login ? { credentials: { dockerConfig: loginFile } } : {}),
      defaultUpstream: upstream,
      upstreams: {
        [upstream]: {
          endpoints: [`http://${host}`],
          insecure: true,
          proxy: proxy.url,
          tagTtl: '0ms',
          ...own,
          ...upstreamKeys,
        },
      },
    },
  });
  const at = (path: string) => `${mirror.url}/v2/${row.asked ?? row.repository}/${path}`;
  return { registry, image, mirror, at };
}

const unwanted = ['www-authenticate', 'set-cookie', 'location', 'ratelimit-remaining', 'content-encoding'];

for (const [name, row] of Object.entries(rows)) {
  test(`images of ${name} are pulled, each with few questions`, async (t) => {
    const { registry, image, mirror, at } = await open(t, row);
    const manifest = await fetchRaw(at('manifests/v1'));
    assert.equal(manifest.status, 200);
    assert.ok(manifest.body.equals(image.manifest.bytes));
    assert.equal(manifest.headers['content-type'], image.manifest.mediaType);
    assert.equal(manifest.headers['docker-content-digest'], image.manifest.digest);
    for (const [digest, bytes] of image.blobs) {
      const head = await fetchRaw(at(`blobs/${digest}`), { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers['content-length']], [200, String(bytes.length)]);
      const blob = await fetchRaw(at(`blobs/${digest}`));
      assert.ok(blob.complete && blob.body.equals(bytes));
      for (const header of unwanted) assert.equal(blob.headers[header] ?? manifest.headers[header], undefined, header);
    }
    assert.equal((await fetchRaw(at('manifests/v1'))).status, 200, 'the tag is revalidated');
    const asked = registry.seen.length;
    await fetchRaw(at(`manifests/${image.manifest.digest}`));
    for (const digest of image.blobs.keys()) await fetchRaw(at(`blobs/${digest}`));
    const more = registry.seen.length - asked;
    // Where a login is needed, whether it still counts is asked each `tagTtl`, which is over at once here; and each
    // question may lead to another host.
    const most = row.login === undefined ? 0 : 2 * (1 + image.blobs.size);
    assert.ok(more <= most, `a warm pull asks ${more} times`);
    // A POST that is not understood, and a GET.
    assert.ok(registry.questions.length <= 2, `${registry.questions.length} questions for tokens`);
    if (row.question !== undefined) {
      assert.deepEqual(
        registry.questions.map(({ method, params }) => `${method} ${params}`),
        [row.question],
      );
    }
    assertDiscreet(registry, row);
    assert.doesNotMatch(JSON.stringify(mirror.log), /s3cret|s1gned|Basic |Bearer |good-\d/);
  });

  test(`a tag that ${name} has not is not found`, async (t) => {
    const { at, registry } = await open(t, row);
    const answer = await fetchRaw(at('manifests/nowhere'));
    assert.equal(answer.status, 404);
    assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'MANIFEST_UNKNOWN');
    assert.equal(answer.headers['www-authenticate'], undefined);
    assertDiscreet(registry, row);
  });
}

/** Logins and tokens stay where they belong; blobs, and what is signed, get nothing but GET. */
function assertDiscreet(registry: LookAlike, row: Row): void {
  for (const request of registry.seen) {
    const { host, method, path, authorization = '', cookie } = request;
    const line = `${method} ${host}${path}`;
    assert.equal(cookie, undefined, line);
    assert.match(authorization, allowedAt(host, path, row), line);
    if (path.includes('/blobs/') || path.startsWith('/stored/')) assert.equal(method, 'GET', line);
  }
}

/** What a host may be shown, where it is asked for this. */
function allowedAt(host: string, path: string, { host: registry, tokens, basic, elsewhereRealm }: Row): RegExp {
  if (tokens !== undefined && `http://${host}${path.replace(/\?.*/, '')}` === tokens.url) return /^(?:Basic .+)?$/;
  if (host === registry) return basic === undefined ? /^(?:Bearer good-\d+)?$/ : /^(?:Basic .+)?$/;
  return elsewhereRealm?.startsWith(`http://${host}/`) ? /^(?:Bearer elsewhere)?$/ : /^$/;
}

function rowOf(name: string): Row {
  const row = rows[name];
  assert.ok(row, name);
  return row;
}

test('a repository that Docker Hub does not want to know is refused with 401: not found', async (t) => {
  const { at, mirror } = await open(t, rowOf('Docker Hub'));
  const answer = await fetchRaw(`${mirror.url}/v2/nobody/nothing/manifests/v1`);
  assert.equal(answer.status, 404);
  assert.equal((await fetchRaw(at('manifests/v1'))).status, 200);
});

test('a private repository of ghcr.io is refused by its token service: not found', async (t) => {
  const { mirror } = await open(t, rowOf('ghcr.io'));
  const answer = await fetchRaw(`${mirror.url}/v2/owner/private/manifests/v1`);
  assert.equal(answer.status, 404);
  assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'MANIFEST_UNKNOWN');
});

test('where a token service refuses our login, that is a failure of ours, whatever the repository is', async (t) => {
  const row = rowOf('gitlab.com');
  const { at } = await open(t, { ...row, login: { username: 'deploy', password: 'expired' } });
  const answer = await fetchRaw(at('manifests/v1'));
  assert.equal(answer.status, 502);
  assert.ok(!answer.body.includes('expired'));
});
