package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bodies returns requests with valid and invalid bodies: for each property, and for the JSON syntax.
func Bodies(b Base) []Case {
	if b.Op.Body == nil {
		return nil
	}
	cases := syntaxCases(b)
	refused := refused
	if b.Op.Files != nil {
		cases, refused = rowSyntaxCases(b), refusedRow
	}
	add := func(name string, body fmt.Stringer, want Want) {
		cases = append(cases, Case{name, "", b.body(body.String()), want})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Op.Body.Properties)) {
		schema := b.Op.Body.Properties[name].Value
		for _, text := range Values(schema) {
			body := b.Body.With(name, text)
			want := refused(name, violationMessage(name, schema, text))
			switch {
			case b.Op.ID == "updateApp":
				want.Field = "-" // the reference page shows no details
			case schema.Items != nil && schema.Items.Value.Type.Is("object"):
				want.Field = "" // that of the list or of an item: see Items
			}
			switch {
			case text == "1e400":
				want = Want{Status: []int{400}}
			case Valid(b.Op.Body, body.String()):
				if want = accepted(b.Op); beyondSchema(b.Op, name) {
					want.Status = append([]int{400}, want.Status...)
				}
			}
			add(truncate(name+" "+text), body, want)
		}
		missing := accepted(b.Op)
		if name == "client_ids" || name == "since" && b.Op.ID == "replayWebhook" {
			missing = refused(name, "")
		}
		if slices.Contains(b.Op.Body.Required, name) {
			missing = refused(name, name+" is required")
		}
		add(name+" missing", b.Body.Without(name), missing)
		if text := b.Body.Get(name); text != "" {
			add(name+" in capitals", b.Body.With(strings.ToUpper(name), text), refused(strings.ToUpper(name), ""))
			add(name+" twice", append(slices.Clone(b.Body), Member{name, text}), Want{Status: []int{400}})
		}
	}
	add("unknown field", b.Body.With("no_such", "1"), refused("no_such", "Unknown field 'no_such'"))
	for name, reason := range ReadOnly(b.Op.Body) {
		want := refused(name, fmt.Sprintf("Field '%s' cannot be updated via this endpoint", name))
		want.Reason = reason
		for _, text := range []string{"null", "1", `"x"`, "{}"} {
			add(name+" "+text, b.Body.With(name, text), want)
		}
	}
	add("two unknown fields", append(Object{{"no_such", "1"}, {"nor_this", "2"}}, b.Body...), refused("no_such", "Unknown field 'no_such'"))
	add("the other way round", append(Object{{"nor_this", "2"}, {"no_such", "1"}}, b.Body...), refused("nor_this", "Unknown field 'nor_this'"))
	return cases
}

// beyondSchema reports whether the server may refuse a value of the property that the schema accepts: an id may not exist, a time may
// be in the past or no date, a token has either all clients or a list, a replay has either a time or a cursor, a webhook needs a public
// address, the app of a row must be in the catalog, and a vendor_url needs a vendor.
func beyondSchema(op *Operation, name string) bool {
	return strings.Contains(name, "_id") && !strings.HasPrefix(name, "app_id") ||
		slices.Contains([]string{"expires_at", "all_clients", "since", "cursor"}, name) ||
		name == "url" && strings.HasSuffix(op.ID, "Webhook") ||
		op.Files != nil && slices.Contains([]string{"canonical_name", "vendor_url"}, name)
}

// syntaxCases returns bodies that are not a strict JSON object (RFC 8259, RFC 7493) or exceed its bounds.
func syntaxCases(b Base) []Case {
	good := b.Body.String()
	bad := func(name, body string, status int) Case {
		return Case{name, "", b.body(body), Want{Status: []int{status}}}
	}
	empty := bad("empty", "", 400)
	if b.Op.BodyOptional {
		empty.Want = accepted(b.Op)
	}
	return []Case{
		empty, bad("a space", " ", 400), bad("null", "null", 400), bad("an array", "[]", 400),
		bad("a string", `"x"`, 400), bad("a number", "1", 400), bad("cut off", good[:len(good)-1], 400),
		bad("data behind", good+"x", 400), bad("a second document", good+good, 400), bad("a comma too many", strings.Replace(good, "}", ",}", 1), 400),
		bad("a byte order mark", "\ufeff"+good, 400), bad("a comment", "/**/"+good, 400), bad("single quotes", "{'a':1}", 400),
		bad("bytes that are no UTF-8", b.Body.With("x", "\"\xff\"").String(), 400),
		bad("half a surrogate pair", b.Body.With("x", `"\ud800"`).String(), 400),
		bad("a noncharacter", b.Body.With("x", `"\ufdd0"`).String(), 400),
		bad("deep", b.Body.With("x", strings.Repeat("[", 65)+strings.Repeat("]", 65)).String(), 400),
		bad("more values and names than may be", b.Body.With("x", "["+strings.Repeat("0,", 20_000)+"0]").String(), 400),
		bad("a duplicate deep inside", b.Body.With("x", `[{"a":1,"a":1}]`).String(), 400),
		bad("too large", good+strings.Repeat(" ", 1<<20), 413),
		{"as large as may be", "", b.body(good + strings.Repeat(" ", 1<<20-len(good))), accepted(b.Op)},
		{"white space", "", b.body(" \t\r\n" + good + "\n"), accepted(b.Op)},
	}
}

func truncate(text string) string {
	if len(text) > 60 {
		return text[:60]
	}
	return text
}
