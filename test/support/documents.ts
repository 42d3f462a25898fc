import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of the checkout. */
export const root = join(import.meta.dirname, '../..');

/** A text of the documentation. */
export interface Document {
  /** From the root of the checkout. */
  readonly path: string;
  readonly text: string;
}

/** Everything that is written for readers, in Markdown. */
export function readDocuments(): Document[] {
  const paths = ['*.md', 'docs/*.md', 'config/**/*.md'].flatMap((pattern) => globSync(pattern, { cwd: root }));
  return paths.toSorted().map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** The blocks of code in one language. */
export function blocks({ text }: Document, language: string): string[] {
  const found = [...text.matchAll(/^( *)```(\w+)\n(.*?)^ *```$/gms)].filter(([, , name]) => name === language);
  return found.map(([, indent = '', , block = '']) => block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
}

/** What is code: blocks line by line, and what stands between backticks in the prose. */
export function codeIn(document: Document): string[] {
  const lines = ['sh', 'yaml', 'toml', 'json', 'text'].flatMap((language) => blocks(document, language));
  const inline = [...proseOf(document).matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replaceAll('\n', ' '));
  return [...lines.flatMap((block) => block.split('\n')), ...inline];
}

/** Where links lead, as written. */
export function linksIn(document: Document): string[] {
  return [...proseOf(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
}

/** The anchors of the headings, as forges make them. */
export function anchorsIn(document: Document): string[] {
  const headings = [...proseOf(document).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-'),
  );
}

function proseOf({ text }: Document): string {
  return text.replaceAll(/^ *```.*?^ *```$/gms, '');
}
