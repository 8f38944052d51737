package server_test

import (
	"testing"
)

const contoso = `{"id":"aa7cf840-9ca9-46a3-9778-9015d6580d50","name":"Contoso Ltd.","status":"active",` +
	`"created_at":"2026-01-15T10:00:00.000Z","updated_at":"2026-01-15T10:00:00.000Z"}`

const northwind = `{"id":"bb7cf840-9ca9-46a3-9778-9015d6580d50","name":"Northwind Traders","status":"active",` +
	`"created_at":"2026-01-15T10:00:00.000Z","updated_at":"2026-01-15T10:00:00.000Z"}`

const litware = `{"id":"` + formerClient + `","name":"Litware","status":"suspended",` +
	`"created_at":"2026-02-24T15:00:00.000Z","updated_at":"2026-02-24T15:00:00.000Z"}`

func TestClients(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		s.step(t, "GET", "/v2/clients", "", 200, singlePage(3, contoso, litware, northwind))
		s.step(t, "GET", "/v2/clients?sort_order=desc&q=N", "", 200, singlePage(2, northwind, contoso))
		s.step(t, "GET", "/v2/clients?q=traders", "", 200, singlePage(1, northwind))
		read := s.step(t, "GET", clientPath, "", 200, contoso)
		s.step(t, "GET", clientPath, "", 304, "", "If-None-Match: "+read.Header.Get("ETag"))
		s.step(t, "GET", "/v2/clients/"+nilID, "", 404, noClient(nilID))
		s.stepWithoutWrite(t, "PATCH", "/v2/clients/"+nilID, `{"name":"x"}`, 404, noClient(nilID))

		created := s.step(t, "POST", "/v2/clients", `{"name":"Contoso Ltd."}`, 201, "*") // names need not be unique
		path := "/v2/clients/" + createdID(t, created)
		s.step(t, "GET", path, "", 200, created.Body[:len(created.Body)-1])
		s.checkConditions(t, path, `{"name":"Contoso Group"}`)
		s.step(t, "GET", path+"/apps", "", 200, singlePage(0))

		for body, want := range map[string]string{
			`{"status":"gone"}`: invalidField("status", "status must be one of active, suspended"),
			`{"status":null}`:   invalidField("status", "status must be one of active, suspended"),
			`{"id":"x"}`:        readOnly("id", "Immutable identifier"),
			`{"name":""}`:       invalidField("name", "name"+nameRule),
			`{"name":1}`:        invalidField("name", "name must be a string"),
			`{"title":"x"}`:     invalidField("title", "Unknown field 'title'"),
		} {
			s.stepWithoutWrite(t, "PATCH", clientPath, body, 400, want)
		}
		s.stepWithoutWrite(t, "POST", "/v2/clients", `{}`, 400, invalidField("name", "name is required"))
		s.stepWithoutWrite(t, "POST", "/v2/clients", `{"id":"x","name":"x"}`, 400, invalidField("id", "id must be a UUID"))
	})
}

// A token for some clients lists only those, and cannot create a client.
func TestClientsOfALimitedToken(t *testing.T) {
	runFlow(t, func(t *testing.T, s flow) {
		own := s.clients["clients of its own"]
		limited := flow{&fixture{Server: s.Server, db: s.db, clients: s.clients}}
		all := s.Client
		defer func() { s.Client = all }()
		limited.Client = own
		limited.step(t, "GET", "/v2/clients", "", 200, singlePage(1, contoso))
		limited.step(t, "GET", clientPath, "", 200, contoso)
		limited.step(t, "GET", "/v2/clients/bb7cf840-9ca9-46a3-9778-9015d6580d50", "", 403, forbidden)
		limited.step(t, "GET", "/v2/clients/"+nilID, "", 403, forbidden)
		limited.stepWithoutWrite(t, "PATCH", "/v2/clients/bb7cf840-9ca9-46a3-9778-9015d6580d50", `{"name":"x"}`, 403, forbidden)
		limited.stepWithoutWrite(t, "POST", "/v2/clients", `{"name":"x"}`, 403, forbidden)
	})
}
