/** How one CLI's Agent Client Protocol differs from the rule: what a row says beyond the protocol itself. */
import type { Permission } from "../core/model.ts";
import type { JsonRecord } from "./json_fields.ts";

/** A JSON-RPC error as the agent sent it. */
export interface AcpError {
  readonly code: number;
  readonly message: string;
  readonly data: unknown;
}

export interface AcpOptions {
  /** Session mode set right after the session was opened, by permission. */
  readonly modes?: Readonly<Partial<Record<Permission, string>>>;
  /** `_meta` of the request that opens a session, by permission. */
  readonly sessionMeta?: Readonly<Partial<Record<Permission, JsonRecord>>>;
  /** Methods of `authenticate`, best first: of those the agent offers, the first that works. Absent: it knows who it is. */
  readonly authenticate?: readonly string[];
  /** The first title of a tool call is the tool's name, not what it is about to do. */
  readonly titleIsTool?: true;
  /** A tool call that is still pending has only a part of its input. */
  readonly lateInput?: true;
  /** Its count of input tokens includes those that were cached. */
  readonly inputIncludesCached?: true;
  /** The name of a model is what people know, its value is an internal key. */
  readonly modelByName?: true;
  /** Also means that the session to be resumed is not there, besides the protocol's own codes. */
  readonly lostSession?: (error: AcpError) => boolean;
  /** A resumed session that refuses without having done anything is one that is not there. */
  readonly refusesLostSession?: true;
  /**
   * It ends a turn that the provider failed like any other, only without an answer, and tells nobody why; here is where
   * it wrote the reason, for people; `{}` stands for the id of the session.
   */
  readonly errorsIn?: string;
  /** It may still send updates of a turn after the answer that ends it: how long to listen for them, in ms. */
  readonly lingerMs?: number;
}
