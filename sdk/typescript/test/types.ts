// Only the compiler checks this file: it must refuse each marked line and accept all others.
import type { Client, ErrorCode, Schemas } from "@clientapps/client";

export async function types(client: Client, path: { client_id: string; app_id: string }): Promise<void> {
  const params = { path };
  await client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: {} });
  await client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: { license_count: null } });
  // @ts-expect-error null is no boolean
  await client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: { is_favorite: null } });
  // @ts-expect-error text is no number
  await client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: { license_count: "50" } });
  // @ts-expect-error undefined is not absent
  await client.PATCH("/clients/{client_id}/apps/{app_id}", { params, body: { license_count: undefined } });
  // @ts-expect-error a catalog field
  const patch: Schemas["AppPatch"] = { canonical_name: "Slack" };
  // @ts-expect-error no body
  await client.PATCH("/clients/{client_id}/apps/{app_id}", { params });
  // @ts-expect-error no app id
  await client.GET("/clients/{client_id}/apps/{app_id}", { params: { path: { client_id: path.client_id } } });
  // @ts-expect-error no such path
  await client.GET("/apps");
  // @ts-expect-error no such order
  await client.GET("/catalog-apps", { params: { query: { sort_by: "size" } } });

  const { data, error } = await client.GET("/clients/{client_id}/apps/{app_id}", { params });
  if (error) {
    const code: ErrorCode = error.error.code;
    const field: string | undefined = error.error.details?.field;
    // @ts-expect-error no such code
    if (code === "teapot") return;
    void field;
    return;
  }
  const app: Schemas["App"] = data;
  const favorite: boolean = app.is_favorite;
  const licenses: number | null = app.license_count;
  // @ts-expect-error may be null
  const counted: number = app.license_count;
  // @ts-expect-error may be null
  void app.catalog_app.vendor.name;
  void [patch, favorite, licenses, counted];
}
