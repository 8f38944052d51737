package load

import (
	"strings"

	"github.com/clientapps/clientapps/bench/dataset"
)

// patchForm is a set of fields in a patch. Each patch changes its row.
type patchForm struct {
	weight int
	fields []patchField
}

type patchField struct{ name, json, sql string }

var (
	count      = patchField{"license_count", "{count}", ":count::int"}
	favorite   = patchField{"is_favorite", "true", "true"}
	unfavorite = patchField{"is_favorite", "false", "false"}
	approved   = patchField{"is_approved", "true", "true"}
	patchForms = []patchForm{
		{70, []patchField{count}},
		{10, []patchField{favorite, count}},
		{10, []patchField{unfavorite, count}},
		{10, []patchField{unfavorite, approved, count}},
	}
)

// API has the paths of requests: the contract's, or another product's.
type API interface {
	// App is the path of an app, List the path of a list.
	App(query string) string
	List(query string) string
	// Bulk is the path for setting is_favorite of many apps.
	Bulk(value bool) string
}

// Contract is the API that the contract describes.
type Contract struct{}

// App implements API.
func (Contract) App(string) string { return "/v2/clients/{client}/apps/{app}" }

// List implements API.
func (Contract) List(query string) string { return "/v2/clients/{client}/apps" + query }

// Bulk implements API.
func (Contract) Bulk(value bool) string {
	if value {
		return "/v2/clients/{client}/apps/favorites"
	}
	return "/v2/clients/{client}/apps/favorites/remove"
}

// Patch sends only patches.
func Patch(api API) []Form {
	var forms []Form
	for _, f := range patchForms {
		fields := make([]string, len(f.fields))
		for i, field := range f.fields {
			fields[i] = `"` + field.name + `":` + field.json
		}
		forms = append(forms, Form{Weight: f.weight, Method: "PATCH", Path: api.App(""), Body: "{" + strings.Join(fields, ",") + "}"})
	}
	return forms
}

// Get reads single apps.
func Get(api API) []Form { return []Form{{Weight: 1, Method: "GET", Path: api.App("")}} }

// List reads the first page of 50 of a client's apps.
func List(api API) []Form { return []Form{{Weight: 1, Method: "GET", Path: api.List("")}} }

// Mixed sends 70 % GETs of an app, 10 % pages of 50 and 20 % patches.
func Mixed(api API) []Form {
	forms := []Form{{Weight: 700, Method: "GET", Path: api.App("")}, {Weight: 100, Method: "GET", Path: api.List("")}}
	for _, f := range Patch(api) {
		f.Weight *= 2
		forms = append(forms, f)
	}
	return forms
}

// Bulk sets a boolean of a hundred apps; about half of them have the value already.
func Bulk(api API) []Form {
	var forms []Form
	for _, value := range []bool{true, false} {
		forms = append(forms, Form{Weight: 1, Method: "POST", Path: api.Bulk(value), Body: `{"app_ids":["{ids}"]}`})
	}
	return forms
}

// Updates sends a thousand updates of apps of one client at once.
func Updates(api API) []Form {
	return []Form{{Weight: 1, Method: "PATCH", Path: api.List(""), Body: `{"updates":[{updates}]}`}}
}

// Large is the path of a large client's list.
func Large(size dataset.Size, n int) string {
	return "/v2/clients/" + dataset.ClientID(size.Ordinary()+n) + "/apps"
}

// Search reads the first page of 50 of a client's apps with a text in their names. The texts match few, many or no apps.
func Search(api API) []Form {
	var forms []Form
	for _, text := range []string{"an", "cloud", "planner%20", "swift", "99", "%C3%B6ff", "no%20such%20name"} {
		forms = append(forms, Form{Weight: 1, Method: "GET", Path: api.List("?q=" + text)})
	}
	return forms
}
