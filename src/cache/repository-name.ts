import type { RepositoryName } from '../catalog/catalog.ts';
import type { Route } from '../upstream/routes.ts';

/** The name under which the catalog knows the repository of a request. */
export function nameOf({ registry, repository }: Route): RepositoryName {
  return { upstream: registry.name, name: repository };
}
