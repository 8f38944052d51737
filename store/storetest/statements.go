package storetest

import (
	"regexp"
	"strings"
	"sync"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/tenant/tenanttest"
)

// perClient has the tables that have a column client_id.
var perClient = []string{"apps", "app_changes", "client_app_counts", "token_clients", "webhooks"}

// crossTenant matches the statements of the store that may read or write rows of many clients, by reason.
var crossTenant = map[string]*regexp.Regexp{
	"a catalog app was renamed, and apps of all clients have a copy of the name": regexp.MustCompile(
		"^UPDATE [`\"]?apps[`\"]? SET [`\"]?name_key[`\"]? ?= ?[$?]1? WHERE catalog_app_id = [$?]2?$"),
	"how far the change feed is": regexp.MustCompile("^SELECT \\*, .+ AS here FROM [`\"]change_feed[`\"] LIMIT [$?]?1$"),
	"how many changes are kept":  regexp.MustCompile("^SELECT (\\(SELECT greatest\\(|coalesce\\(\\(SELECT seq ).+ FROM [`\"]change_feed[`\"] LIMIT [$?]?1$"),
	"the changes of all clients, or of those that a token covers": regexp.MustCompile(
		"^SELECT (\\*|" + changeOrder + "(, field|, field, changed_at)?) FROM [`\"]app_changes[`\"] WHERE [^;]+ ORDER BY " + changeOrder + "(, field)? LIMIT [$?0-9]+( OFFSET [$?0-9]+)?$"),
	"the history of all clients is pruned": regexp.MustCompile("^(SELECT count\\(\\*\\)|DELETE) FROM [`\"]app_changes[`\"] WHERE \\(" + changeOrder + ", field\\) > [^;]+$"),
	"the last change that is pruned": regexp.MustCompile(
		"^SELECT " + changeOrder + ", field FROM [`\"]app_changes[`\"] WHERE [^;]+ ORDER BY " + strings.ReplaceAll(changeOrder+", field", ",", " DESC,") + " DESC LIMIT [$?0-9]+$"),
	"catalog apps of changes of many clients": regexp.MustCompile(
		"^SELECT (id, catalog_app_id FROM [`\"]apps[`\"] WHERE|\\* FROM [`\"]app_changes[`\"] WHERE field = 'app' AND) " +
			"(app_)?id (= ANY\\(\\$1\\)|IN \\(SELECT value FROM json_each\\(\\?\\)\\))$"),
	"a webhook may follow all clients": regexp.MustCompile(
		"^(SELECT [^;]+ FROM|UPDATE|DELETE FROM) [`\"]webhooks[`\"](?:[^;(]|\\((?:[^S]|SELECT value FROM json_each))*$"),
	"webhooks of all clients are marked": regexp.MustCompile(
		"^SELECT DISTINCT [`\"]client_id[`\"] FROM [`\"]app_changes[`\"] WHERE position >= [$?]1? AND position < [$?]2?$"),
	"the schema": regexp.MustCompile("^(CREATE|ALTER|DROP) "),
	"tokens are read with the clients that they cover": regexp.MustCompile(
		"^SELECT \\* FROM [`\"]token_clients[`\"] (WHERE token_id .*)?ORDER BY client_id$"),
	"a token sees the tokens whose clients it covers": regexp.MustCompile(
		"^SELECT (\\*|count\\(\\*\\)) FROM [`\"]tokens[`\"] WHERE NOT all_clients AND " +
			`\(EXISTS \(SELECT 1 FROM token_clients AS c WHERE c\.token_id = tokens\.id\) OR created_by = [$?]1? OR id = [$?]2?\) AND ` +
			`\(NOT EXISTS \(SELECT 1 FROM token_clients AS c WHERE c\.token_id = tokens\.id AND c\.client_id ` +
			`(<> ALL\(\$3\)|NOT IN \(SELECT value FROM json_each\(\?\)\))\)\)` +
			`( AND id = [$?]4?| AND \(created_at, id\) [<>] \([$?]4?, ?[$?]5?\))?( ORDER BY created_at (ASC|DESC), id (ASC|DESC) LIMIT .+)?$`),
}

// changeOrder is the order of the change feed.
const changeOrder = "position, client_id, app_id, version"

var checked sync.Map // text of a statement -> error or nil; tests send the same statements many times

// CheckStatement returns an error for a statement that is neither limited to one client nor matched by crossTenant.
func CheckStatement(statement string) error {
	if known, ok := checked.Load(statement); ok {
		err, _ := known.(error)
		return err
	}
	_, err := tenanttest.Check(statement, perClient)
	for _, pattern := range crossTenant {
		if pattern.MatchString(statement) {
			err = nil
		}
	}
	checked.Store(statement, err)
	return err
}

// Unchecked turns off CheckStatement, for a test that sends other statements on purpose.
func Unchecked(cfg *store.Config) { cfg.OnStatement = nil }
