package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Items returns requests with valid and invalid objects in a list of the body: for each property, in the second of two objects. The
// error has a pointer to the invalid value.
func Items(b Base) []Case {
	if b.Op.Body == nil {
		return nil
	}
	var cases []Case
	for _, list := range slices.Sorted(maps.Keys(b.Op.Body.Properties)) {
		schema := b.Op.Body.Properties[list].Value
		if schema.Items != nil && schema.Items.Value.Type.Is("object") {
			cases = append(cases, itemCases(b, list)...)
		}
	}
	return cases
}

func itemCases(b Base, list string) []Case {
	schema := b.Op.Body.Properties[list].Value.Items.Value
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(b.Body.Get(list)), &all); err != nil {
		return []Case{{Name: err.Error()}}
	}
	good, err := ParseObject(all[0])
	if err != nil {
		return []Case{{Name: err.Error()}}
	}
	before := Object{{"id", quote(unknownID)}}
	var cases []Case
	add := func(name string, second fmt.Stringer, want Want) {
		body := b.Body.With(list, "["+before.String()+","+second.String()+"]")
		cases = append(cases, Case{truncate(list + " " + name), "", b.body(body.String()), want})
	}
	refusedAt := func(name, message string) Want {
		want := refused(name, message)
		want.Pointer = fmt.Sprintf("/%s/1/%s", list, name)
		return want
	}
	for _, text := range []string{"null", "true", "1", `"x"`, "[]"} {
		want := refused(list, "")
		want.Pointer = "/" + list + "/1"
		add(text, json.Number(text), want)
	}
	path := func(name string) string { return list + "[1]." + name }
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[name].Value
		for _, text := range Values(property) {
			item := good.With(name, text)
			want := refusedAt(name, violationMessage(path(name), property, text))
			switch {
			case text == "1e400":
				want = Want{Status: []int{400}}
			case Valid(schema, item.String()):
				want = accepted(b.Op)
			}
			add(name+" "+text, item, want)
		}
		missing := accepted(b.Op)
		if slices.Contains(schema.Required, name) {
			missing = refusedAt(name, path(name)+" is required")
		}
		add(name+" missing", good.Without(name), missing)
		if text := good.Get(name); text != "" {
			capitals := strings.ToUpper(name)
			add(name+" in capitals", good.With(capitals, text), refusedAt(capitals, ""))
			add(name+" twice", append(slices.Clone(good), Member{name, text}), Want{Status: []int{400}})
		}
	}
	add("an unknown field", good.With("no_such", "1"), refusedAt("no_such", "Unknown field 'no_such'"))
	for name, reason := range ReadOnly(schema) {
		want := refusedAt(name, fmt.Sprintf("Field '%s' cannot be updated via this endpoint", name))
		want.Reason = reason
		add(name, good.With(name, "null"), want)
	}
	duplicate := refusedAt("id", path("id")+" is that of an earlier update")
	add("an id twice", before, duplicate)
	add("an id twice, in capitals", Object{{"id", strings.ToUpper(quote(unknownID))}}, duplicate)
	return cases
}
