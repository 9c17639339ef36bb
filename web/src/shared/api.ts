/**
 * The types of the HTTP API and of the messages of the line, under the names that the pages use.
 * `openapi/` is generated from the documents of the services; nothing here repeats their content.
 */

import type { components as Controller } from "./openapi/admission-controller";
import type { components as Checkout } from "./openapi/checkout";
import type { components as WaitingRoom } from "./openapi/waiting-room";

type AdminSchemas = Controller["schemas"];
type CheckoutSchemas = Checkout["schemas"];
type LineSchemas = WaitingRoom["schemas"];

// The waiting room.
export type SaleCard = LineSchemas["SaleCard"];
export type Status = LineSchemas["Status"];
export type SaleMode = LineSchemas["SaleMode"];
export type LineOrder = LineSchemas["LineOrder"];
/** Texts and colours of a sale's pages. */
export type Theme = LineSchemas["Theme"];
type SentMessage = LineSchemas["LineMessage"];
type SentPlace = Extract<SentMessage, { type: "place" }>;
/** A place as the page reads it: older waiting rooms send no bounds and no remaining units. */
export type PlaceMessage = Omit<SentPlace, "wait" | "remaining"> & {
  wait: { likely_s: Seconds; bounds_s: Seconds | null } | null;
  remaining: number | null;
};
export type LineMessage = Exclude<SentMessage, SentPlace> | PlaceMessage;
export type DrawMessage = Extract<LineMessage, { type: "draw" }>;
export type TurnMessage = Extract<LineMessage, { type: "turn" }>;
export type Outcome = LineSchemas["Outcome"];
/** What the page sends to the line. */
export type PageMessage = LineSchemas["PageMessage"];
/** The response of the line to a page that polls. */
export type LineSnapshot = LineSchemas["LineSnapshot"];
/** From and to, in seconds. */
export type Seconds = LineSchemas["Wait"]["likely_s"];

// Checkout.
export type Order = CheckoutSchemas["Order"];
export type Orders = CheckoutSchemas["Orders"];
export type Profile = CheckoutSchemas["Profile"];
export type CodeSent = CheckoutSchemas["CodeSent"];

/** What the pages read of a problem (RFC 9457); `order` comes with `token-used`. */
export type Problem = Pick<LineSchemas["Problem"], "type" | "title" | "detail"> & { order?: Order };

// The admin API.
export type AdminLane = AdminSchemas["AdminLane"];
export type AdminSale = AdminSchemas["AdminSale"];
export type AdminSales = AdminSchemas["AdminSales"];
export type NewSale = AdminSchemas["CreateSale"];
export type SaleChange = AdminSchemas["ChangeSale"];
export type AdminOrder = AdminSchemas["AdminOrder"];
export type AdminOrders = AdminSchemas["AdminOrders"];
export type Invitations = AdminSchemas["Invitations"];
export type RevokedTokens = AdminSchemas["RevokedTokens"];
export type Webhook = AdminSchemas["AdminWebhook"];
export type Webhooks = AdminSchemas["AdminWebhooks"];
export type AddedWebhook = AdminSchemas["AddedWebhook"];
export type Role = AdminSchemas["Role"];
export type Session = AdminSchemas["Session"];
export type Operator = AdminSchemas["AdminOperator"];
export type Operators = AdminSchemas["AdminOperators"];
export type OperatorChange = AdminSchemas["ChangeOperator"];
export type TotpSecret = AdminSchemas["TotpSecret"];
export type EnrolmentCode = AdminSchemas["EnrolmentCode"];
/** An operator who was added with a password, or without one. */
export type AddedOperator = Extract<AdminSchemas["AddedOperator"], TotpSecret>;
export type InvitedOperator = Extract<AdminSchemas["AddedOperator"], EnrolmentCode>;
export type Enrolled = AdminSchemas["Enrolled"];
export type Attribute = AdminSchemas["Attribute"];
export type Product = AdminSchemas["AdminProduct"];
export type ProductSummary = AdminSchemas["AdminProductSummary"];
export type Products = AdminSchemas["AdminProducts"];
export type NewProduct = AdminSchemas["CreateProduct"];
export type ProductChange = AdminSchemas["ChangeProduct"];
export type Variant = AdminSchemas["AdminVariant"];
export type VariantFields = AdminSchemas["VariantFields"];
export type ProductImage = AdminSchemas["AdminImage"];
export type ImageFields = AdminSchemas["ImageFields"];
export type UploadedImage = AdminSchemas["AdminMedia"];
export type ImportReport = AdminSchemas["ImportReport"];
export type AuditEntry = AdminSchemas["AuditEntry"];
export type AuditPage = AdminSchemas["AuditPage"];
export type Sample = AdminSchemas["Sample"];
export type RehearsalPlan = AdminSchemas["RehearseRequest"];
export type Rehearsal = AdminSchemas["Rehearsal"];
export type Report = AdminSchemas["Report"];
export type LiveUpdate = AdminSchemas["LiveUpdate"];

/** The last part of the path of an operation that changes a sale's status. */
export type SaleCommand = "open" | "pause" | "resume" | "close";
