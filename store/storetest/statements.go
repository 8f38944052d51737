package storetest

import (
	"regexp"
	"sync"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/tenant/tenanttest"
)

// perClient are the tables that hold data of clients.
var perClient = []string{"apps", "app_changes", "client_app_counts", "token_clients"}

// crossTenant are the statements of the store that are about many clients, with the reason of each.
var crossTenant = map[string]*regexp.Regexp{
	"a catalog app was renamed: its apps of all clients repeat the name": regexp.MustCompile(
		"^UPDATE [`\"]?apps[`\"]? SET [`\"]?name_key[`\"]? ?= ?[$?]1? WHERE catalog_app_id = [$?]2?$"),
	"the schema": regexp.MustCompile("^(CREATE|ALTER|DROP) "),
	"tokens are read with the clients that they cover": regexp.MustCompile(
		"^SELECT \\* FROM [`\"]token_clients[`\"] (WHERE token_id .*)?ORDER BY client_id$"),
}

var checked sync.Map // text of a statement -> error or nil: tests send the same ones again and again

// CheckStatement returns an error for a statement that is not bound to one client and is none of those that may be about many.
func CheckStatement(statement string) error {
	if known, ok := checked.Load(statement); ok {
		err, _ := known.(error)
		return err
	}
	_, err := tenanttest.Check(statement, perClient)
	for _, passes := range crossTenant {
		if passes.MatchString(statement) {
			err = nil
		}
	}
	checked.Store(statement, err)
	return err
}

// Unchecked is for a test that sends other statements on purpose.
func Unchecked(cfg *store.Config) { cfg.OnStatement = nil }
