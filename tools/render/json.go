package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// toJSON converts a YAML document to indented JSON and keeps the order of keys, which Go maps would lose.
func toJSON(doc *yaml.Node) ([]byte, error) {
	var compact, indented bytes.Buffer
	if err := appendJSON(&compact, doc); err != nil {
		return nil, err
	}
	if err := json.Indent(&indented, compact.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

func appendJSON(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.DocumentNode:
		return appendJSON(out, n.Content[0])
	case yaml.MappingNode:
		out.WriteByte('{')
		for i := 0; i < len(n.Content); i += 2 {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := appendText(out, n.Content[i].Value); err != nil {
				return err
			}
			out.WriteByte(':')
			if err := appendJSON(out, n.Content[i+1]); err != nil {
				return err
			}
		}
		out.WriteByte('}')
		return nil
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := appendJSON(out, item); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	case yaml.ScalarNode:
		return appendScalar(out, n)
	case yaml.AliasNode: // JSON has no aliases
	}
	return fmt.Errorf("line %d: aliases are not supported", n.Line)
}

func appendScalar(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Tag {
	case "!!str":
		return appendText(out, n.Value)
	case "!!null":
		out.WriteString("null")
		return nil
	case "!!bool", "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			return fmt.Errorf("line %d: %s is not valid JSON", n.Line, n.Value)
		}
		out.WriteString(n.Value)
		return nil
	}
	return fmt.Errorf("line %d: %s has no JSON form: quote it", n.Line, n.Value)
}

func appendText(out *bytes.Buffer, text string) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // remove the encoder's newline
	return nil
}
