import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { crioFiles } from '../../src/cli/client-config/containers.ts';
import { openshiftFiles } from '../../src/cli/client-config/openshift.ts';
import { loadConfig } from '../../src/config/load.ts';
import { completeSettings } from '../../src/config/settings.ts';
import { parseSize } from '../../src/config/units.ts';
import { programVersion } from '../../src/config/version.ts';
import { fetchRaw } from '../support/client.ts';
import { build, findFaults, kubernetes, kustomizations, type Manifest } from '../support/cluster-files.ts';
import { blocks } from '../support/documents.ts';
import { lacking } from '../support/lacking.ts';
import { startMirror } from '../support/mirror.ts';
import { attempt } from '../support/program.ts';
import { tempDir } from '../support/temp.ts';

const skip = lacking(['kubectl']);
const dockerfile = readFileSync(join(kubernetes, '../../Dockerfile'), 'utf8');
const overlays = kustomizations().filter((name) => /^(?:base|overlays\/)/.test(name));

/** Folders of the cluster files that were built already: none of them changes. */
const built = new Map<string, Promise<Manifest[]>>();

/** What kubectl makes of one of the folders. */
function folder(name: string): Promise<Manifest[]> {
  const manifests = built.get(name) ?? build(join(kubernetes, name));
  built.set(name, manifests);
  return manifests;
}

/** What stands at a path of keys and indices, `undefined` where nothing does. */
function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

/** The object of a kind, by name. */
function find(manifests: readonly Manifest[], kind: string, name = 'weir'): Manifest {
  const found = manifests.find((each) => each.kind === kind && each.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found;
}

/** A kustomization of one's own, as somebody writes it who takes parts of these. */
function compose(resources: string, ...components: readonly string[]): string {
  const directory = tempDir();
  const from = (folder: string) => relative(directory, join(kubernetes, folder));
  const text = JSON.stringify({ resources: [from(resources)], components: components.map(from) });
  writeFileSync(join(directory, 'kustomization.yaml'), text);
  return directory;
}

const withoutComments = (file: string) => readFileSync(join(kubernetes, file), 'utf8').replace(/^(?:#.*\n)+\n*/, '');

const pod = (manifests: readonly Manifest[]) => at(find(manifests, 'StatefulSet'), 'spec', 'template', 'spec');

test('kubectl builds every folder of the cluster files, and Kubernetes would accept what comes out', {
  skip,
}, async () => {
  const names = kustomizations();
  for (const name of ['base', 'overlays/hostport', 'overlays/nodeport', 'overlays/openshift', 'node-config'])
    assert.ok(names.includes(name), name);
  const alone = names.filter((name) => name !== 'monitoring').map(folder);
  const manifests = (await Promise.all([...alone, build(compose('overlays/nodeport', 'monitoring'))])).flat();
  for (const kind of ['StatefulSet', 'PodDisruptionBudget', 'NetworkPolicy', 'ServiceMonitor', 'PrometheusRule'])
    assert.ok(
      manifests.some((each) => each.kind === kind),
      kind,
    );
  // OpenShift's own kinds are in no package.
  assert.equal(
    await findFaults(manifests.filter(({ apiVersion }) => !apiVersion.startsWith('config.openshift.io'))),
    '',
  );
});

test('the kustomization of one’s own that the README shows has its way', { skip }, async () => {
  const [text = ''] = blocks({ path: '', text: readFileSync(join(kubernetes, 'README.md'), 'utf8') }, 'yaml');
  const directory = tempDir();
  writeFileSync(join(directory, 'kustomization.yaml'), text);
  writeFileSync(join(directory, 'weir.yaml'), 'prefetch: false\n');
  symlinkSync(join(kubernetes, '../..'), join(directory, 'weir'));
  const manifests = await build(directory);
  assert.equal(at(find(manifests, 'ConfigMap'), 'data', 'weir.yaml'), 'prefetch: false\n');
  assert.equal(at(pod(manifests), 'containers', 0, 'image'), `harbor.corp.example/tools/weir:${programVersion()}`);
  const claim = at(find(manifests, 'StatefulSet'), 'spec', 'volumeClaimTemplates', 0, 'spec');
  assert.deepEqual(
    [at(claim, 'resources', 'requests', 'storage'), at(claim, 'storageClassName')],
    ['1Ti', 'local-nvme'],
  );
  find(manifests, 'PrometheusRule');
  assert.equal(await findFaults(manifests), '');
});

test('fields that do not exist are noticed, and values that may not be', { skip }, async () => {
  const name = 'weir';
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name } };
  assert.match(await findFaults([{ ...service, spec: { prots: [] } }]), /'"prots"' does not exist/);
  assert.match(await findFaults([{ ...service, spec: { ports: [{ port: 1.5 }] } }]), /must be integer/);
});

test('the mirror accepts the configuration of the ConfigMap, and the image does not overrule it', {
  skip,
}, async () => {
  const yaml = String(at(find(await folder('base'), 'ConfigMap'), 'data', 'weir.yaml'));
  const complete = yaml.replaceAll(/^( *)#(?=[^ #])/gm, '$1').replaceAll(/^#(?= {2})/gm, '');
  assert.notEqual(complete, yaml);
  for (const [index, text] of [yaml, complete].entries()) {
    const file = join(tempDir(), `${index}.yaml`);
    writeFileSync(file, text);
    assert.doesNotThrow(() => loadConfig({ file, env: {} }), text);
    // A variable counts before the file.
    assert.doesNotMatch(text, /^(?:listen|admin|dataDir):/m);
  }
  assert.match(dockerfile, /WEIR_LISTEN=0\.0\.0\.0:5000 WEIR_ADMIN=0\.0\.0\.0:5001 WEIR_DATA_DIR=\/data/);
});

test('the pod is what the Dockerfile expects: version, user, volume, ports', { skip }, async () => {
  for (const overlay of overlays) {
    const spec = pod(await folder(overlay));
    const container = at(spec, 'containers', 0);
    assert.match(String(at(container, 'image')), new RegExp(`/weir:${programVersion()}$`));
    const { runAsUser, runAsGroup } = Object(at(spec, 'securityContext'));
    if (overlay === 'overlays/openshift') assert.deepEqual([runAsUser, runAsGroup], [undefined, undefined]);
    else assert.match(dockerfile, new RegExp(`^USER ${runAsUser}:${runAsGroup}$`, 'm'));
    const [, volume] = /^VOLUME (\S+)$/m.exec(dockerfile) ?? [];
    assert.equal(at(container, 'volumeMounts', 0, 'mountPath'), volume);
    const ports = [0, 1].map((index) => at(container, 'ports', index, 'containerPort'));
    assert.match(dockerfile, new RegExp(`^EXPOSE ${ports.join(' ')}$`, 'm'));
    assert.equal(at(container, 'securityContext', 'readOnlyRootFilesystem'), true);
    assert.equal(at(spec, 'securityContext', 'runAsNonRoot'), true);
  }
});

test('the probes ask what a mirror answers', { skip }, async (t) => {
  const mirror = await startMirror(t);
  const container = at(pod(await folder('base')), 'containers', 0);
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    const path = String(at(container, probe, 'httpGet', 'path'));
    assert.equal((await fetchRaw(`${mirror.url}${path}`)).status, 200, path);
  }
});

test('pulls have time to end, and the cache fits on its volume', { skip }, async () => {
  const manifests = await folder('base');
  const file = join(tempDir(), 'weir.yaml');
  writeFileSync(file, String(at(find(manifests, 'ConfigMap'), 'data', 'weir.yaml')));
  const { drainTimeout, cache } = loadConfig({ file, env: {} });
  assert.ok(Number(at(pod(manifests), 'terminationGracePeriodSeconds')) * 1000 >= drainTimeout + 10_000);
  const claim = at(find(manifests, 'StatefulSet'), 'spec', 'volumeClaimTemplates', 0, 'spec', 'resources', 'requests');
  const room = parseSize(`${at(claim, 'storage')}B`);
  assert.ok(room !== undefined && cache.maxSize <= 0.9 * room);
});

test('what refers to something in the cluster files finds it', { skip }, async () => {
  for (const overlay of overlays) {
    const manifests = await build(compose(overlay, 'monitoring'));
    const workload = find(manifests, 'StatefulSet');
    const labels = at(workload, 'spec', 'template', 'metadata', 'labels');
    const matches = (selector: unknown) => {
      assert.ok(typeof selector === 'object' && selector !== null && Object.keys(selector).length > 0);
      for (const [key, value] of Object.entries(selector)) assert.equal(at(labels, key), value);
    };
    matches(at(workload, 'spec', 'selector', 'matchLabels'));
    matches(at(find(manifests, 'PodDisruptionBudget'), 'spec', 'selector', 'matchLabels'));
    matches(at(find(manifests, 'NetworkPolicy'), 'spec', 'podSelector', 'matchLabels'));
    for (const name of ['weir', 'weir-admin']) matches(at(find(manifests, 'Service', name), 'spec', 'selector'));
    find(manifests, 'Service', String(at(workload, 'spec', 'serviceName')));
    find(manifests, 'ConfigMap', String(at(pod(manifests), 'volumes', 0, 'configMap', 'name')));
    // The alerts say job="weir".
    const scraped = find(manifests, 'Service', 'weir-admin').metadata.labels;
    const monitor = at(find(manifests, 'ServiceMonitor'), 'spec');
    for (const [key, value] of Object.entries(Object(at(monitor, 'selector', 'matchLabels'))))
      assert.equal(at(scraped, key), value);
    assert.equal(at(scraped, String(at(monitor, 'jobLabel'))), 'weir');
  }
});

test('nodes keep their addresses, one mirror knows all of a pull, and nothing of a host is used unsaid', {
  skip,
}, async () => {
  for (const overlay of overlays) {
    const manifests = await folder(overlay);
    const service = at(find(manifests, 'Service'), 'spec');
    if (at(service, 'type') === 'NodePort') assert.equal(at(service, 'externalTrafficPolicy'), 'Local');
    assert.equal(at(find(manifests, 'StatefulSet'), 'spec', 'replicas'), 1);
    assert.equal(at(service, 'sessionAffinity'), 'ClientIP');
    const level = find(manifests, 'Namespace').metadata.labels?.['pod-security.kubernetes.io/enforce'];
    const host = /"host(?:Port|Network|PID|Path)"/.test(JSON.stringify(pod(manifests)));
    assert.equal(level, host ? 'privileged' : 'restricted', overlay);
  }
});

test('nodes are told what the program prints for them, and the port is that of the Service', { skip }, async () => {
  const upstreams = completeSettings({}).upstreams.map(({ name }) => name);
  const port = at(find(await folder('overlays/nodeport'), 'Service'), 'spec', 'ports', 0, 'nodePort');
  const [conf] = crioFiles({ authority: `NODE-ADDRESS:${port}`, tls: false, upstreams }).files;
  assert.equal(withoutComments('node-config/registries.conf'), conf?.content);
  const [sets] = openshiftFiles({ authority: 'mirror.example.com:5000', tls: false, upstreams }).files;
  assert.equal(withoutComments('openshift-nodes/mirror-sets.yaml'), sets?.content);
});

test('a node is told of the mirror once, and of every change', async () => {
  const directory = tempDir();
  const config = join(directory, 'config');
  const programs = join(directory, 'bin');
  const host = join(directory, 'etc');
  for (const each of [config, programs, host]) mkdirSync(each);
  const conf = readFileSync(join(kubernetes, 'node-config/registries.conf'), 'utf8');
  writeFileSync(join(config, 'registries.conf'), conf);
  const calls = join(directory, 'calls');
  const nsenter = (code: number) => {
    writeFileSync(join(programs, 'nsenter'), `#!/bin/sh\necho "$@" >> ${calls}\nexit ${code}\n`);
    chmodSync(join(programs, 'nsenter'), 0o755);
  };
  const reloads = () => (existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n').length : 0);
  const env = { CONFIG: config, HOST: host, NODE_ADDRESS: 'fd00::1', PATH: `${programs}:${process.env['PATH']}` };
  const apply = () => attempt(['sh', join(kubernetes, 'node-config/apply.sh'), 'once'], { env });
  const written = join(host, 'containers/registries.conf.d/000-weir.conf');

  nsenter(1);
  assert.notEqual((await apply()).code, 0);
  nsenter(0);
  assert.equal((await apply()).code, 0);
  assert.equal(readFileSync(written, 'utf8'), conf.replaceAll('NODE-ADDRESS', '[fd00::1]'));
  assert.match(readFileSync(calls, 'utf8'), /--target 1 .*systemctl reload crio\n$/);
  assert.equal(reloads(), 2);
  assert.equal((await apply()).code, 0);
  assert.equal(reloads(), 2);
  writeFileSync(join(config, 'registries.conf'), conf.replaceAll('30500', '30501'));
  assert.equal((await apply()).code, 0);
  assert.equal(reloads(), 3);
  assert.match(readFileSync(written, 'utf8'), /:30501\//);
});
