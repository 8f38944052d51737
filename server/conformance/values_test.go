package conformance

import (
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// Each bound is tried from below, exactly, and from above.
func TestValues(t *testing.T) {
	t.Parallel()
	count := openapi3.NewIntegerSchema().WithMin(0).WithMax(2147483647)
	count.Nullable = true
	name := openapi3.NewStringSchema().WithMinLength(2).WithMaxLength(4)
	ids := openapi3.NewArraySchema().WithItems(name).WithMinItems(1).WithMaxItems(3)
	object := openapi3.NewObjectSchema().WithProperty("count", count).WithProperty("name", name).WithRequired([]string{"name"})
	objects := openapi3.NewArraySchema().WithItems(object).WithMinItems(1).WithMaxItems(2)
	for _, c := range []struct {
		schema *openapi3.Schema
		text   string
		valid  bool
	}{
		{count, "-1", false},
		{count, "0", true},
		{count, "2147483647", true},
		{count, "2147483648", false},
		{count, "null", true},
		{count, "50.0", true},
		{count, "50.5", false},
		{count, "true", false},
		{count, "1e400", false},
		{name, `"é"`, false},
		{name, `"éé"`, true},
		{name, `"éééé"`, true},
		{name, `"ééééé"`, false},
		{name, "null", false},
		{ids, "[]", false},
		{ids, `["x0","x1","x2"]`, true},
		{ids, `["x0","x1","x2","x3"]`, false},
		{ids, `["x0",null]`, false},
		{objects, `[{"name":"x0"},{"name":"x1"}]`, true},
		{objects, `[{"name":"x0"},{}]`, false},
		{objects, `[{"name":"x0"},{"name":"x1"},{"name":"x2"}]`, false},
	} {
		if !slices.Contains(Values(c.schema), c.text) {
			t.Errorf("Values lacks %s", c.text)
		}
		if Valid(c.schema, c.text) != c.valid {
			t.Errorf("%s: Valid returns %v", c.text, !c.valid)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	o, err := ParseObject([]byte(`{"b": 1, "a": {"x": [null]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]Object{
		`{"b":1,"a":{"x": [null]}}`:       o,
		`{"b":2,"a":{"x": [null]}}`:       o.With("b", "2"),
		`{"b":1,"a":{"x": [null]},"c":3}`: o.With("c", "3"),
		`{"b":1}`:                         o.Without("a"),
	} {
		if got.String() != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
