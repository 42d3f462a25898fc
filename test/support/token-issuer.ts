import { randomUUID, sign, X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Certificate, makeCertificate } from './certificate.ts';

/** Seconds that a token is good for. */
const lifetime = 300;

/**
 * Gives everybody a signed token for what they ask for, as auth.docker.io does for public repositories (distribution
 * spec, token authentication).
 */
export class TokenIssuer {
  /** The scopes that were asked for, in order. */
  readonly asked: string[] = [];
  readonly certificateFile: string;
  readonly #certificate: Certificate;
  readonly #server: Server;

  private constructor(certificate: Certificate) {
    this.#certificate = certificate;
    this.certificateFile = certificate.certificateFile;
    this.#server = createServer(({ url = '/' }, response) => {
      const { searchParams } = new URL(url, 'http://issuer');
      const scopes = searchParams.getAll('scope');
      this.asked.push(...scopes);
      const token = this.#sign(searchParams.get('service') ?? '', scopes);
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ token, expires_in: lifetime }));
    });
  }

  /** Starts one on a port that the system chooses. */
  static async start(): Promise<TokenIssuer> {
    const issuer = new TokenIssuer(makeCertificate('issuer'));
    await new Promise<void>((resolve) => issuer.#server.listen(0, '127.0.0.1', resolve));
    return issuer;
  }

  /** Where tokens are. */
  get realm(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/token`;
  }

  /** Stops listening. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #sign(audience: string, scopes: readonly string[]): string {
    const { certificate, key } = this.#certificate;
    const now = Math.floor(Date.now() / 1000);
    const header = { typ: 'JWT', alg: 'ES256', x5c: [new X509Certificate(certificate).raw.toString('base64')] };
    const times = { nbf: now - 10, iat: now, exp: now + lifetime };
    const claims = {
      iss: 'issuer',
      sub: '',
      aud: audience,
      jti: randomUUID(),
      ...times,
      access: scopes.map(readScope),
    };
    const content = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    // A signature as JWT has it: RFC 7518 §3.4.
    const signature = sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' });
    return `${content}.${signature.toString('base64url')}`;
  }
}

/** `repository:team/app:pull` as docker-registry wants to read it. */
function readScope(scope: string): { type: string; name: string; actions: readonly string[] } {
  const [type = '', name = '', actions = ''] = scope.split(':');
  return { type, name, actions: actions.split(',') };
}
