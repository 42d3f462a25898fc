import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './program.ts';
import { tempDir } from './temp.ts';

/** A key, and a certificate for it that it signed itself. */
export interface Certificate {
  readonly key: string;
  readonly certificate: string;
  /** Where the certificate is, in PEM. */
  readonly certificateFile: string;
}

/** Makes one by openssl. */
export async function makeCertificate(name: string): Promise<Certificate> {
  const dir = tempDir();
  const [keyFile, certificateFile] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')];
  const subject = ['-x509', '-days', '2', '-subj', `/CN=${name}`];
  await run([
    'openssl',
    'req',
    ...subject,
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    keyFile,
    '-out',
    certificateFile,
  ]);
  return { key: readFileSync(keyFile, 'utf8'), certificate: readFileSync(certificateFile, 'utf8'), certificateFile };
}
