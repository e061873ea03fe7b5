/** The service manager that starts the daemon of a home, as far as the life cycle needs it. */
import type { ServiceKind } from "../core/service_unit_spec.ts";

export interface Supervisor {
  readonly kind: ServiceKind;
  /** The service's name, for people. */
  readonly label: string;
  /**
   * To be called while nobody holds the home: whatever of the service still runs then is on its way out, and is ended.
   * The daemon may not be ready yet when it returns. Throws `daemon_failed` when the manager says that it failed.
   */
  start(): Promise<void>;
}
