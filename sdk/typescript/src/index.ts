import type { components } from "./schema.js";

export { type Client, type ClientOptions, createClient } from "./client.js";
export {
  ApiError,
  type ErrorCode,
  type ErrorDetails,
  type ErrorResponse,
  ForeignError,
  NetworkError,
  type Result,
  unwrap,
} from "./error.js";
export { type AppRow, type CatalogRow, exportApps, exportCatalog, type ExportOptions } from "./export.js";
export { follow, type Followed, type FollowOptions } from "./follow.js";
export { ifUnchanged, readModifyWrite } from "./ifunchanged.js";
export type { components, operations, paths } from "./schema.js";
export { type Page, walk } from "./walk.js";
export { type Delivery, verifyWebhook, WebhookError, type WebhookHeaders, type WebhookReason } from "./webhook.js";

/** The contract's schemas by name: `Schemas["App"]`. */
export type Schemas = components["schemas"];
