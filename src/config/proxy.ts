/** Through which proxies an upstream is reached. */
export interface ProxySettings {
  /** The proxy for plain http, a URL; it may hold a login. `undefined`: none. */
  readonly http: string | undefined;
  /** The proxy for https. */
  readonly https: string | undefined;
  /** Which hosts are asked directly all the same, as `NO_PROXY` says it. */
  readonly except: string;
}

/** A proxy variable that cannot be used. The message does not say what stands there: that may hold a password. */
export interface ProxyIssue {
  /** The variable's name. */
  readonly place: string;
  readonly message: string;
}

/** @returns the URL, with `http://` where no scheme is said; `undefined` where it is none, or not one of an HTTP proxy. */
export function parseProxy(text: string): string | undefined {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const isPlain = url?.pathname === '/' && url.search === '' && url.hash === '';
  return url !== undefined && isPlain && /^https?:$/.test(url.protocol) ? url.href : undefined;
}

/** Reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`; written in lower case, they count before. */
export function readProxyVariables(env: Readonly<Record<string, string | undefined>>): {
  readonly proxy: ProxySettings;
  readonly issues: readonly ProxyIssue[];
} {
  const find = (name: string) => [name.toLowerCase(), name].find((each) => (env[each] ?? '') !== '');
  const read = (name: string) => {
    const place = find(name);
    const proxy = place && parseProxy(env[place] ?? '');
    return {
      proxy,
      issues:
        place && proxy === undefined
          ? [{ place, message: 'expected the URL of a proxy like http://proxy.example.com:3128' }]
          : [],
    };
  };
  const http = read('HTTP_PROXY');
  const https = read('HTTPS_PROXY');
  const except = env[find('NO_PROXY') ?? ''] ?? '';
  return { proxy: { http: http.proxy, https: https.proxy, except }, issues: [...http.issues, ...https.issues] };
}
