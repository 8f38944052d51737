package main

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// upgrade converts an OpenAPI 3.0 document to 3.1. The two differ in their schemas, which are JSON Schema in 3.1. A keyword that is not
// known to mean the same in both is an error.
func upgrade(doc *yaml.Node) error {
	root := doc.Content[0]
	version := value(root, "openapi")
	if version == nil || !strings.HasPrefix(version.Value, "3.0.") {
		return fmt.Errorf("not an OpenAPI 3.0 document")
	}
	version.Value = "3.1.0"
	for i := 0; i < len(root.Content); i += 2 {
		if key := root.Content[i]; key.Value == "x-webhooks" { // the name that tools for 3.0 know
			key.Value = "webhooks"
		}
	}
	return upgradeAll(root)
}

// upgradeAll upgrades the schemas inside of an object that is not a schema.
func upgradeAll(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return each(n.Content, upgradeAll)
	}
	for key, child := range entries(n) {
		step := upgradeAll
		switch {
		case key == "schema":
			step = upgradeSchema
		case key == "schemas": // in components
			step = upgradeSchemas
		case strings.HasPrefix(key, "x-"), slices.Contains([]string{"example", "examples", "links"}, key):
			continue // contains values, not schemas
		}
		if err := step(child); err != nil {
			return err
		}
	}
	return nil
}

func upgradeSchemas(n *yaml.Node) error {
	for _, schema := range entries(n) {
		if err := upgradeSchema(schema); err != nil {
			return err
		}
	}
	return nil
}

// unchangedKeywords are the keywords that mean the same in both versions.
var unchangedKeywords = []string{
	"$ref", "title", "description", "type", "format", "enum", "default", "deprecated", "readOnly", "writeOnly",
	"minLength", "maxLength", "pattern", "minimum", "maximum", "multipleOf", "minItems", "maxItems", "uniqueItems",
	"minProperties", "maxProperties", "required", "discriminator",
}

func upgradeSchema(n *yaml.Node) error {
	for key, child := range entries(n) {
		var err error
		switch key {
		case "nullable":
			err = upgradeNullable(n, child)
		case "exclusiveMinimum", "exclusiveMaximum":
			err = upgradeExclusive(n, key, child)
		case "example":
			remove(n, key)
			n.Content = append(n.Content, scalar("examples"), &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{child}})
		case "format":
			if child.Value == "byte" || child.Value == "binary" {
				err = fmt.Errorf("line %d: format %s is contentEncoding in 3.1", child.Line, child.Value)
			}
		case "properties":
			err = upgradeSchemas(child)
		case "allOf", "anyOf", "oneOf":
			err = each(child.Content, upgradeSchema)
		case "not", "items":
			err = upgradeSchema(child)
		case "additionalProperties":
			if child.Kind == yaml.MappingNode {
				err = upgradeSchema(child)
			}
		default:
			if !strings.HasPrefix(key, "x-") && !slices.Contains(unchangedKeywords, key) {
				err = fmt.Errorf("line %d: unknown keyword %s: does it exist in 3.1?", child.Line, key)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// upgradeNullable adds null to the types. By OpenAPI 3.0.3 nullable has no effect without a type.
func upgradeNullable(n, nullable *yaml.Node) error {
	remove(n, "nullable")
	if nullable.Value != "true" {
		return nil
	}
	name := value(n, "type")
	if name == nil {
		return fmt.Errorf("line %d: nullable has no effect without a type", nullable.Line)
	}
	if value(n, "enum") != nil {
		return fmt.Errorf("line %d: nullable and enum: null must be one of the values", nullable.Line)
	}
	nonNull := *name
	*name = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{&nonNull, scalar("null")}}
	return nil
}

// upgradeExclusive converts the boolean of 3.0 to the bound of 3.1.
func upgradeExclusive(n *yaml.Node, key string, exclusive *yaml.Node) error {
	inclusive := map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}[key]
	bound := value(n, inclusive)
	remove(n, key)
	if exclusive.Value != "true" {
		return nil
	}
	if bound == nil {
		return fmt.Errorf("line %d: %s has no effect without a %s", exclusive.Line, key, inclusive)
	}
	remove(n, inclusive)
	n.Content = append(n.Content, scalar(key), bound)
	return nil
}
