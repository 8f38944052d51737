package operations

import "slices"

// Demo returns an example of the operation: the values of its parameters and, of a file or of an example with values that are no
// properties, the body. Examples named demo belong together. Other optional arguments are left out.
func (op *Operation) Demo() (values map[string]any, body any) {
	values = map[string]any{}
	for _, a := range op.Arguments {
		if e, ok := chooseExample(a.Examples, a.Required); ok && a.In != inBody {
			values[a.Name] = e
		}
	}
	if op.Body == nil {
		return values, nil
	}
	example, ok := chooseExample(op.Body.Examples, true)
	if !ok {
		return values, nil
	}
	object, isObject := example.(map[string]any)
	if !isObject {
		return values, example
	}
	return op.withProperties(values, object), nil
}

// withProperties adds the properties of a body to the values of parameters.
func (op *Operation) withProperties(values, object map[string]any) map[string]any {
	for _, a := range op.Arguments {
		if v, ok := object[a.Field]; ok && a.In == inBody {
			values[a.Name] = v
		}
	}
	return values
}

// chooseExample returns the example that is named demo, or has no name, or else the first one, if there must be one.
func chooseExample(examples []Example, required bool) (any, bool) {
	for _, name := range []string{"demo", ""} {
		i := slices.IndexFunc(examples, func(e Example) bool { return e.Name == name })
		if i >= 0 && (required || name == "demo") {
			return examples[i].Value, true
		}
	}
	if required && len(examples) > 0 {
		return examples[0].Value, true
	}
	return nil, false
}
