package conformance

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Member is one member of a JSON object.
type Member struct{ Name, Text string }

// Object is a JSON object as a list of members, so that it can have duplicate names.
type Object []Member

// ParseObject reads the members of a JSON object in document order.
func ParseObject(text []byte) (Object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var o Object
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		o = append(o, Member{name.(string), string(value)}) //nolint:errcheck,forcetypeassert // a name is a string
	}
	return o, nil
}

// String returns the JSON text.
func (o Object) String() string {
	members := make([]string, len(o))
	for i, m := range o {
		members[i] = quote(m.Name) + ":" + m.Text
	}
	return "{" + strings.Join(members, ",") + "}"
}

// Get returns the JSON text of a member, or "".
func (o Object) Get(name string) string {
	for _, m := range o {
		if m.Name == name {
			return m.Text
		}
	}
	return ""
}

// With returns the object with a member replaced, or appended if it is new.
func (o Object) With(name, text string) Object {
	o = slices.Clone(o)
	for i := range o {
		if o[i].Name == name {
			o[i].Text = text
			return o
		}
	}
	return append(o, Member{name, text})
}

// Without returns the object without a member.
func (o Object) Without(name string) Object {
	return slices.DeleteFunc(slices.Clone(o), func(m Member) bool { return m.Name == name })
}
