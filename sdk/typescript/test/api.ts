import { randomUUID } from "node:crypto";

import { type Client, createClient, type Schemas, unwrap } from "@clientapps/client";

const { CLIENTAPPS_URL } = process.env;
if (!CLIENTAPPS_URL) {
  throw new Error("CLIENTAPPS_URL is not set: run the tests through tools/with-demo, as make test-typescript does");
}

export const baseUrl = `${CLIENTAPPS_URL}/v2`;
export const token = "demo-token";
export const client: Client = createClient({ baseUrl, token });

/** The paths of a new app of a new client. */
export async function newApp(fields: Partial<Schemas["AppCreate"]> = {}): Promise<Schemas["App"] & { client_id: string }> {
  const { id: client_id } = await newClient();
  const added = await unwrap(
    client.POST("/clients/{client_id}/apps", {
      params: { path: { client_id } },
      body: { catalog_app_id: (await newCatalogApp()).id, ...fields },
    }),
  );
  return { ...added, client_id };
}

export function newClient(): Promise<Schemas["ClientOrganization"]> {
  return unwrap(client.POST("/clients", { body: { name: "Test" } }));
}

export function newCatalogApp(canonical_name = `Test ${randomUUID()}`): Promise<Schemas["CatalogApp"]> {
  return unwrap(client.POST("/catalog-apps", { body: { canonical_name } }));
}
