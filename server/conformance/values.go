package conformance

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Values returns JSON texts to try for a schema: of every type, and at, below and above each bound.
func Values(schema *openapi3.Schema) []string {
	values := []string{"null", "true", "false", "0", "1", "-1", "1.5", `""`, `"x"`, `"true"`, `"1"`, "[]", "{}", "[null]", "1e400"}
	switch {
	case schema.Type.Is(openapi3.TypeInteger), schema.Type.Is(openapi3.TypeNumber):
		values = append(values, "50", "50.0", "5e1", "50.5")
		for _, bound := range []*float64{schema.Min, schema.Max} {
			if bound != nil {
				for _, d := range []float64{-1, 0, 1} {
					values = append(values, strconv.FormatFloat(*bound+d, 'f', -1, 64))
				}
			}
		}
	case schema.Type.Is(openapi3.TypeString):
		for _, text := range Texts(schema) {
			values = append(values, quote(text))
		}
	case schema.Type.Is(openapi3.TypeArray):
		values = append(values, arrays(schema)...)
	}
	return values
}

// Texts returns strings to try for a schema.
func Texts(schema *openapi3.Schema) []string {
	texts := []string{" x", "x ", "x\x00y", "x\ny", "x\u0085y", "\u00a0x", "X", "é", strings.Repeat("é", 33)}
	for _, word := range schema.Enum {
		texts = append(texts, fmt.Sprint(word), strings.ToUpper(fmt.Sprint(word)))
	}
	seed := example(schema)
	texts = append(texts, seed)
	for _, length := range []uint64{schema.MinLength, deref(schema.MaxLength)} {
		for _, n := range []uint64{length - 1, length, length + 1} {
			if n < 20_000 { // below zero it wraps around
				texts = append(texts, resize(seed, int(n)), resize("é", int(n)))
			}
		}
	}
	if strings.Contains(schema.Pattern, "[0-9a-fA-F]{12}") {
		plain := strings.ReplaceAll(seed, "-", "")
		texts = append(texts, strings.ToUpper(seed), "{"+seed+"}", "urn:uuid:"+seed, plain, seed+"0", "g"+seed[1:])
	}
	return texts
}

// resize cuts a text to n characters, or repeats its last character until there are n.
func resize(text string, n int) string {
	runes := []rune(text)
	if len(runes) == 0 {
		runes = []rune{'x'}
	}
	for len(runes) < n {
		runes = append(runes, runes[len(runes)-1])
	}
	return string(runes[:n])
}

func arrays(schema *openapi3.Schema) []string {
	items := schema.Items.Value
	values := []string{list(items, 1), list(items, 2)}
	for _, bound := range []uint64{schema.MinItems, deref(schema.MaxItems)} {
		for _, n := range []uint64{bound - 1, bound, bound + 1} {
			if n < 20_000 {
				values = append(values, list(items, int(n)))
			}
		}
	}
	for _, value := range Values(items) {
		values = append(values, "["+item(items, 0)+","+value+"]")
	}
	return values
}

func list(items *openapi3.Schema, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = item(items, i)
	}
	return "[" + strings.Join(all, ",") + "]"
}

// item returns the i-th of many different valid items.
func item(items *openapi3.Schema, i int) string {
	if items.Type.Is(openapi3.TypeObject) {
		var o Object
		for _, name := range items.Required {
			o = append(o, Member{name, item(items.Properties[name].Value, i)})
		}
		return o.String()
	}
	if strings.Contains(items.Pattern, "[0-9a-fA-F]{12}") {
		return fmt.Sprintf(`"00000000-0000-4000-8000-%012x"`, i)
	}
	return fmt.Sprintf(`"x%d"`, i)
}

// Valid reports whether the schema allows a JSON text.
func Valid(schema *openapi3.Schema, text string) bool {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return false
	}
	return schema.VisitJSON(value, openapi3.VisitAsRequest()) == nil
}

// example returns a valid string.
func example(schema *openapi3.Schema) string {
	if text, ok := schema.Example.(string); ok {
		return text
	}
	for _, text := range []string{"Fabrikam", "#4A154B", "https://www.example.com/a"} {
		if schema.VisitJSON(text) == nil {
			return text
		}
	}
	return "x"
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // encoding a string cannot fail
	return string(quoted)
}

func deref(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}
