package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// Every operation refuses invalid text in every query parameter, on both databases. PostgreSQL would reject such text, SQLite
// would store it.
func TestQueryIsText(t *testing.T) {
	t.Parallel()
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.NewReplacer(
		"{client_id}", clientID, "{app_id}", appID, "{catalog_app_id}", "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
		"{webhook_id}", nilID,
	)
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		tried := 0
		for path, item := range doc.Paths.Map() {
			op := item.Get
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				if p.Value.In != openapi3.ParameterInQuery {
					continue
				}
				for _, bad := range []string{"%C3", "%C3%28", "x%FFx", "%ED%A0%80", "%F4%90%80%80", "%00", "x%00", "%EF%B7%90", "x%EF%BF%BE", "%F4%8F%BF%BF"} {
					tried++
					target := doc.Servers[0].URL + ids.Replace(path) + "?" + p.Value.Name + "=" + bad
					got := s.Get(t, target)
					if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, `"details":{"field":"`+p.Value.Name+`"}`) {
						t.Errorf("%s: %d %s", target, got.Status, got.Body)
					}
				}
			}
			// An invalid parameter name is an unknown one.
			if got := s.Get(t, doc.Servers[0].URL+ids.Replace(path)+"?%C3%00=x"); got.Status != http.StatusBadRequest {
				t.Errorf("%s: %d %s", op.OperationID, got.Status, got.Body)
			}
		}
		if tried < 100 {
			t.Errorf("only %d values were tried: the contract has more parameters", tried)
		}
	})
}

// Valid text is searched for unchanged.
func TestQueryTakesAnyText(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for _, q := range []string{"%EF%BF%BD", "%EF%B7%8F", "%EF%B7%B0", "%F0%9F%98%80", "%E2%80%AE"} {
			if got := s.Get(t, "/v2/clients/"+storetest.ClientID.String()+"/apps?q="+q); got.Status != http.StatusOK {
				t.Errorf("q=%s: %d %s", q, got.Status, got.Body)
			}
		}
	})
}
