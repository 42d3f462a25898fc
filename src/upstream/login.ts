import type { UpstreamError } from './errors.ts';

/** A name and its password. */
export interface Account {
  readonly username: string;
  readonly password: string;
}

/** What the mirror has to say for itself at a registry. Never logged, never sent to any host but those that `realms` allows. */
export interface Login {
  readonly account: Account | undefined;
  /** Buys tokens by POST: OAuth 2.0's refresh token. */
  readonly identityToken: string | undefined;
  /** Is a token already. */
  readonly registryToken: string | undefined;
}

/** The value of an `Authorization: Basic` header: RFC 7617. */
export function basic({ username, password }: Account): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** What a login is called where quotas are told apart. */
export function accountOf({ account }: Login): string {
  return account?.username ?? 'token';
}

/** A repository at a host, as far as logging in is concerned. */
export interface AuthTarget {
  readonly url: URL;
  /** The endpoint that led here: itself, or one that redirects here. */
  readonly endpoint: string;
  /** The repository's name at the endpoint. */
  readonly repository: string;
  /** Whether the host is one of our own endpoints. Hosts that they redirect to are asked anonymously. */
  readonly trusted: boolean;
}

/** What goes into an `Authorization` header, and what it means when that is refused. */
export interface Authorization {
  readonly header: string;
  /** Whose quota it takes from; `undefined` where it is anonymous. */
  readonly account: string | undefined;
  /** The login that the header shows as it is: a 401 then speaks of the login, and not of the content. */
  readonly login: Login | undefined;
  /** Why this is anonymous though there is a login: whatever it is refused may be ours with a good one. */
  readonly failedLogin: UpstreamError | undefined;
}
