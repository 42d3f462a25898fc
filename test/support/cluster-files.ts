import { readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { attempt } from './program.ts';
import { tempDir } from './temp.ts';

const root = join(import.meta.dirname, '../..');

/** Where the files for Kubernetes are. */
export const kubernetes = join(root, 'config/kubernetes');

/** An object for a cluster, as YAML says it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [section: string]: unknown;
}

/** Every folder that `kubectl apply --kustomize` takes, relative to `kubernetes`. */
export function kustomizations(): string[] {
  const files = readdirSync(kubernetes, { recursive: true, encoding: 'utf8' });
  return files.flatMap((file) => /^(.+)\/kustomization\.yaml$/.exec(file)?.[1] ?? []);
}

/** What `kubectl kustomize` makes of a folder. @throws Error with what it says when it cannot, or warns */
export async function build(folder: string): Promise<Manifest[]> {
  const { code, stdout, stderr } = await attempt(['kubectl', 'kustomize', folder]);
  if (code !== 0 || stderr !== '') throw new Error(`${folder}: ${stderr}`);
  return parseAllDocuments(stdout).map((document) => document.toJS());
}

/** What is wrong with these objects by the schemas of Kubernetes and of the Prometheus operator; empty when nothing is. */
export async function findFaults(manifests: readonly Manifest[]): Promise<string> {
  const directory = tempDir();
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  const program = join(directory, 'manifests.ts');
  writeFileSync(program, manifests.map(asProgram).join('\n'));
  // The compiler finds fields that do not exist, and the program values that may not be.
  const words = [
    '--noEmit',
    '--ignoreConfig',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    program,
  ];
  const compiled = await attempt([process.execPath, join(root, 'node_modules/typescript/bin/tsc'), ...words]);
  if (compiled.code !== 0) return compiled.stdout;
  return (await attempt([process.execPath, program])).stderr;
}

function asProgram({ apiVersion, kind, ...fields }: Manifest, at: number): string {
  const models = apiVersion.startsWith('monitoring.') ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models';
  const name = `Manifest${at}`;
  const imported = `import { ${kind} as ${name} } from '${models}/${apiVersion}/${kind}';`;
  return `${imported}\nnew ${name}(${JSON.stringify(fields)}).validate();`;
}
